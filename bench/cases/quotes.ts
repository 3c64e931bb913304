import { setTimeout as sleep } from 'node:timers/promises'
import { quote } from '@carillon/events'
import { now } from '../remote.ts'
import { type CaseResult, ms, thousands } from '../result.ts'
import { percentiles } from '../statistics.ts'
import { callAtRate } from './publish-rate.ts'
import { receiveAll } from './received-frames.ts'
import { openQuotes, Stack } from './stack.ts'

const CLIENTS = 1_000
const MARKETS = 200
const MARKETS_EACH = 5
const UPDATES_PER_SECOND = 2_000
const SECONDS = 30
const FIRST_MARKET = 1_000
const FIRST = 1_000_000
const SLOW_BYTES_PER_SECOND = 1_024

function items(market: number, sequence: number) {
  return [
    {
      event_id: 'e',
      market_id: String(market),
      product_id: '1',
      price: String(FIRST + sequence),
      status: '1',
      at: now().toFixed(3),
    },
  ]
}

function layout() {
  const frame = `{"type":"order-slip","data":${JSON.stringify(items(FIRST_MARKET, 0))}}`
  const header = frame.length < 126 ? 2 : 4
  const at = (name: string) => header + frame.indexOf(`"${name}":"`) + name.length + 4
  return {
    length: header + frame.length,
    topicAt: at('market_id'),
    topicDigits: 4,
    sequenceAt: at('price'),
    sequenceDigits: 7,
    timeAt: at('at'),
    timeDigits: 17,
  }
}

/** One run; with `slow`, the first client follows every market and reads a kilobyte a second. */
async function run(slow: boolean) {
  const stack = await Stack.start('servers/quote.ts')
  try {
    const all = Array.from({ length: MARKETS }, (_, i) => FIRST_MARKET + i)
    const marketsOf = (client: number) =>
      client === 0
        ? slow
          ? all
          : []
        : Array.from(
            { length: MARKETS_EACH },
            (_, i) => FIRST_MARKET + ((client * MARKETS_EACH + i) % MARKETS),
          )
    await openQuotes(stack, CLIENTS, marketsOf)
    await stack.load.call('recordFrames', layout())
    if (slow) await stack.load.call('slow', { index: 0, bytesPerSecond: SLOW_BYTES_PER_SECOND })
    const before = await stack.server.call<{ rss: number }>('memory')
    const sent = await callAtRate(UPDATES_PER_SECOND, SECONDS, (i) => {
      const market = FIRST_MARKET + (i % MARKETS)
      stack.bus.publish(
        quote.chloe,
        { eventId: 'e', marketId: String(market) },
        items(market, Math.floor(i / MARKETS)),
      )
    })
    const expected = (sent / MARKETS) * MARKETS_EACH * (CLIENTS - 1)
    const received = await receiveAll(stack.load, expected)
    const after = await stack.server.call<{ rss: number }>('memory')
    const counters = await stack.server.call<{ queuedBytesMax: number; conflated: number }>('counters')
    let newest = true
    if (slow) {
      await stack.load.call('slow', { index: 0 })
      await sleep(2_000)
      const last = new Map(await stack.load.call<[number, number][]>('lastOf', { index: 0 }))
      newest = all.every((market) => last.get(market) === FIRST + sent / MARKETS - 1)
    }
    const grownMb = (after.rss - before.rss) / 2 ** 20
    return { ...percentiles(received.latencies), expected, received, grownMb, counters, newest }
  } finally {
    await stack.stop()
  }
}

/** A client that reads a kilobyte a second among a thousand: nobody else notices, and it ends with the newest. */
export async function quotes(): Promise<CaseResult> {
  const without = await run(false)
  const withSlow = await run(true)
  const lost = without.expected - without.received.frames + withSlow.expected - withSlow.received.frames
  const outOfOrder = without.received.outOfOrder + withSlow.received.outOfOrder
  const difference = withSlow.p99 - without.p99
  return {
    title: 'One slow client among a thousand, on quote-interact',
    how: `${thousands(UPDATES_PER_SECOND)} updates/s over ${MARKETS} markets for ${SECONDS} s; ${MARKETS_EACH} markets for each client, every market for the slow one, which reads 1 KB/s. First without it, then with it.`,
    rows: [
      { what: "others' p50 / p99 without it", measured: `${ms(without.p50)} / ${ms(without.p99)}` },
      {
        what: "others' p50 / p99 with it",
        measured: `${ms(withSlow.p50)} / ${ms(withSlow.p99)}`,
        reach: 'p99 within 5 ms',
        reached: difference <= 5,
      },
      {
        what: "others' updates lost / out of order",
        measured: `${lost} / ${outOfOrder} of ${thousands(without.expected + withSlow.expected)}`,
        reach: 'none',
        reached: lost === 0 && outOfOrder === 0,
      },
      {
        what: 'most bytes held for the slow client; quotes replaced by newer ones',
        measured: `${thousands(withSlow.counters.queuedBytesMax)}; ${thousands(withSlow.counters.conflated)}`,
        reach: 'bounded: under 256 KB',
        reached: withSlow.counters.queuedBytesMax < 262_144,
      },
      {
        what: 'memory grown in the run without it / with it',
        measured: `${without.grownMb.toFixed(1)} MB / ${withSlow.grownMb.toFixed(1)} MB`,
      },
      {
        what: "the slow client's last quote of each market",
        measured: withSlow.newest ? 'the newest' : 'an older one',
        reach: 'the newest',
        reached: withSlow.newest,
      },
    ],
  }
}
