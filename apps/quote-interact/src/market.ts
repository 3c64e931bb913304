import { type MarketKind, quote } from '@carillon/events'

/** One market of one event, as a client follows it. */
export interface Market {
  readonly kind: MarketKind
  readonly eventId: string
  readonly marketId: string
}

export type MarketChannel = (typeof quote)[MarketKind]

export const kinds = Object.keys(quote) as MarketKind[]

/** A market's topic is its NATS subject: what is published there is what its followers get. */
export function topicOf({ kind, eventId, marketId }: Market): string {
  return quote[kind].subject({ eventId, marketId })
}

export function kindOf(channel: MarketChannel): MarketKind {
  return channel === quote.chloe ? 'chloe' : 'fancy'
}
