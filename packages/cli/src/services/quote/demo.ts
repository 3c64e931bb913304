import { setTimeout as sleep } from 'node:timers/promises'
import { quote } from '@carillon/events'
import { positiveInteger } from '../../option.ts'
import type { DemoContext } from '../../service-info.ts'
import { type DemoMarket, demoMarkets, move } from './demo-market.ts'

/** A feed of quotes: some markets are lively, some sleep, some lock and open again. */
export async function runQuoteDemo({ bus, options, print, signal, random }: DemoContext): Promise<string> {
  const count = positiveInteger('--markets', options.markets)
  const rate = positiveInteger('--rate', options.rate)
  const markets = demoMarkets(count, random)
  print(`${count} markets, ${rate} quotes a second; follow one of them with`)
  for (const { kind, eventId, marketId } of markets.slice(0, 3)) {
    print(`  {"commend":"order-slip-quote@${kind}-market#${eventId}@${marketId}"}`)
  }
  const startedAt = performance.now()
  let published = 0
  while (!signal.aborted) {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * rate)
    for (; published < due && bus.connected; published++) {
      // The square favours the first markets: some are lively, most are not.
      const market = markets[Math.floor(random() ** 2 * markets.length)] as DemoMarket
      move(market, random)
      const params = { eventId: market.eventId, marketId: market.marketId }
      const headers = { 'Carillon-Published-At': String(Date.now()) }
      if (market.kind === 'chloe') bus.publish(quote.chloe, params, market.items, { headers })
      else bus.publish(quote.fancy, params, market.items, { headers })
    }
    await sleep(5)
  }
  if (bus.connected) await bus.roundTrip()
  return `${published} quotes published`
}
