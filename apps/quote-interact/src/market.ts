import { type MarketKind, quote } from '@carillon/events'

/** One market of one event, as a client follows it. */
export interface Market {
  readonly kind: MarketKind
  readonly eventId: string
  readonly marketId: string
  /** Its NATS subject: what is published there is what its followers get. */
  readonly topic: string
}

export type MarketChannel = (typeof quote)[MarketKind]

export const kinds = Object.keys(quote) as MarketKind[]

/** @throws {RangeError} if an id is empty, or both are too long for a subject. */
export function marketOf(kind: MarketKind, eventId: string, marketId: string): Market {
  return { kind, eventId, marketId, topic: quote[kind].subject({ eventId, marketId }) }
}

export function kindOf(channel: MarketChannel): MarketKind {
  return channel === quote.chloe ? 'chloe' : 'fancy'
}
