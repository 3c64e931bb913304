/** The wire of quote-interact, as its PROTOCOL.md tells it. */

/** `chloe` is a sport-book market, `fancy` a fancy one. */
export type MarketKind = 'chloe' | 'fancy'

export interface Market {
  readonly kind: MarketKind
  readonly eventId: string
  readonly marketId: string
}

/** One product of a sport-book market; `status` 1 is open, anything else locked. */
export interface ChloeItem {
  readonly event_id: string
  readonly market_id: string
  readonly product_id: string
  readonly price: string
  readonly status: string
}

/** One product of a fancy market: lines and odds of back and lay. */
export interface FancyItem {
  readonly mid: string
  readonly pid: string
  readonly bl: string
  readonly bo: string
  readonly ll: string
  readonly lo: string
  readonly status: string
  readonly ut?: string
}

export interface QuoteItems {
  readonly chloe: ChloeItem
  readonly fancy: FancyItem
}

/** Every product of one market. */
export type Quote<K extends MarketKind = MarketKind> = {
  [Kind in K]: Market & { readonly kind: Kind; readonly items: readonly QuoteItems[Kind][] }
}[K]

/** By close code: does the client connect again? */
export const quoteCloseCodes = { 1012: true, 1013: true, 4401: true, 4403: false, 4408: true, 4429: false }
