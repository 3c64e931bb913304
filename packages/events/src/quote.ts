import { type Static, Type } from 'typebox'
import { defineEvent } from './channel.ts'
import { json, type Result } from './payload.ts'
import { HOUR_MS, type StreamDefinition } from './storage.ts'

/**
 * The last quote of every market. On disk: the last word on a market that is suspended may stand for hours, so that
 * a restart of NATS must not lose it.
 */
export const quoteStream: StreamDefinition = {
  name: 'QUOTE',
  summary: 'The last quote of every market',
  subjects: ['quote.chloe.*.*', 'quote.fancy.*.*'],
  messagesPerSubject: 1,
  maxAgeMs: 24 * HOUR_MS,
  storage: 'file',
}

/** One product of a sport-book market. `status` 1 is open, anything else locked. */
export const ChloeItem = Type.Object(
  {
    event_id: Type.String(),
    market_id: Type.String(),
    product_id: Type.String(),
    price: Type.String(),
    status: Type.String(),
  },
  { $id: 'ChloeItem' },
)
/** One product of a fancy market: lines and odds of back and lay. */
export const FancyItem = Type.Object(
  {
    eid: Type.Optional(Type.String()),
    mid: Type.String(),
    pid: Type.String(),
    bl: Type.String(),
    bo: Type.String(),
    ll: Type.String(),
    lo: Type.String(),
    status: Type.String(),
    ut: Type.Optional(Type.String()),
  },
  { $id: 'FancyItem' },
)
export type ChloeItem = Static<typeof ChloeItem>
export type FancyItem = Static<typeof FancyItem>

interface Market {
  readonly eventId: string
  readonly marketId: string
}

/** Every item must be of the market in the subject. */
function sameMarket<T>(
  { eventId, marketId }: Market,
  items: T[],
  marketOf: (item: T) => { readonly event: string | undefined; readonly market: string },
): Result<T[]> {
  for (const item of items) {
    const { event, market } = marketOf(item)
    if (market !== marketId)
      return { ok: false, reason: `market is ${market} in the payload, ${marketId} in the subject` }
    if (event !== undefined && event !== eventId) {
      return { ok: false, reason: `event is ${event} in the payload, ${eventId} in the subject` }
    }
  }
  return { ok: true, value: items }
}

/** The quote domain's channels, by the kind of market. A payload holds every product of its market. */
export const quote = {
  chloe: defineEvent('quote.chloe.{eventId}.{marketId}', {
    summary: 'The quotes of every product of a sport-book market',
    direction: 'receive',
    stream: quoteStream,
    payload: json(Type.Array(ChloeItem)),
    refine: (market, items) =>
      sameMarket(market, items, ({ event_id, market_id }) => ({ event: event_id, market: market_id })),
  }),
  fancy: defineEvent('quote.fancy.{eventId}.{marketId}', {
    summary: 'The quotes of every product of a fancy market',
    direction: 'receive',
    stream: quoteStream,
    payload: json(Type.Array(FancyItem)),
    refine: (market, items) => sameMarket(market, items, ({ eid, mid }) => ({ event: eid, market: mid })),
  }),
} as const

export type MarketKind = keyof typeof quote
