import type { ChloeItem, FancyItem } from '@carillon/events'

/** A market of the demo feed: two of three are sport-book markets of two or three products. */
export type DemoMarket = { readonly eventId: string; readonly marketId: string } & (
  | { readonly kind: 'chloe'; items: ChloeItem[] }
  | { readonly kind: 'fancy'; items: FancyItem[] }
)

export function demoMarkets(count: number, random: () => number): DemoMarket[] {
  return Array.from({ length: count }, (_, i): DemoMarket => {
    const eventId = `${40_000_000 + Math.floor(i / 4)}-e`
    if (i % 3 < 2) {
      const marketId = `${1 + (i % 4)}_${31_000_000 + i}`
      const products = Array.from({ length: 2 + (i % 2) }, (_, product) => ({
        event_id: eventId,
        market_id: marketId,
        product_id: String(product + 1),
        price: (1.2 + random() * 8).toFixed(2),
        status: '1',
      }))
      return { kind: 'chloe', eventId, marketId, items: products }
    }
    const marketId = `878_${55_000_000 + i}_f`
    const line = String(100 + Math.floor(random() * 150))
    const item = {
      eid: eventId,
      mid: marketId,
      pid: '1',
      bl: line,
      bo: '100',
      ll: line,
      lo: '110',
      status: '1',
    }
    return { kind: 'fancy', eventId, marketId, items: [item] }
  })
}

/** Moves a market a little; now and then it locks or opens. */
export function move(market: DemoMarket, random: () => number): void {
  const status = random() < 0.03 ? '-3' : '1'
  if (market.kind === 'chloe') {
    market.items = market.items.map((item) => ({
      ...item,
      price: Math.max(1.01, Number(item.price) * (0.97 + random() * 0.06)).toFixed(2),
      status,
    }))
  } else {
    const step = Math.floor(random() * 3) - 1
    const ut = new Date().toISOString()
    market.items = market.items.map((item) => {
      const line = String(Math.max(1, Number(item.bl) + step))
      return { ...item, bl: line, ll: line, status, ut }
    })
  }
}
