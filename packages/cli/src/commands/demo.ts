import { setTimeout as sleep } from 'node:timers/promises'
import { quote } from '@carillon/events'
import { withBus } from '../connect-bus.ts'
import { Failure, USAGE } from '../failure.ts'
import { type DemoMarket, demoMarkets, move } from './demo-market.ts'

export interface DemoOptions {
  readonly seed: string
  readonly markets: string
  readonly rate: string
  readonly seconds?: string
}

/** A seeded feed of quotes: some markets are lively, some sleep, some lock and open again. */
export async function demo(
  what: string,
  options: DemoOptions,
  print: (text: string) => void,
): Promise<string> {
  if (what !== 'quotes') throw new Failure(`there is no demo ${what}; demos: quotes`, USAGE)
  const [seed, count, rate] = [
    positive('seed', options.seed),
    positive('markets', options.markets),
    positive('rate', options.rate),
  ]
  const seconds =
    options.seconds === undefined ? Number.POSITIVE_INFINITY : positive('seconds', options.seconds)
  const random = seeded(seed)
  const markets = demoMarkets(count, random)
  let stopped = false
  process.once('SIGINT', () => {
    stopped = true
  })
  return withBus(async (bus) => {
    print(`${count} markets, ${rate} quotes a second; follow one of them with`)
    for (const { kind, eventId, marketId } of markets.slice(0, 3)) {
      print(`  {"commend":"order-slip-quote@${kind}-market#${eventId}@${marketId}"}`)
    }
    const start = Date.now()
    let sent = 0
    while (!stopped && Date.now() - start < seconds * 1_000) {
      const due = Math.floor(((Date.now() - start) / 1_000) * rate)
      for (; sent < due && bus.connected; sent++) {
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
    await bus.roundTrip()
    return `${sent} quotes published`
  })
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Failure(`--${name} must be a whole number above 0, not ${text}`, USAGE)
}

/** A small generator of random numbers from 0 to 1 (mulberry32): the same seed, the same feed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
