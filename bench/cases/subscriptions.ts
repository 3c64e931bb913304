import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '@carillon/testkit'
import { type CaseResult, ms, thousands } from '../result.ts'
import { grown, type Heap } from './auction.ts'
import { openQuotes, Stack } from './stack.ts'

const CONNECTIONS = 20
const MARKETS_EACH = 1_000
const PROBE_MS = 5

interface Memory {
  readonly rss: number
}

/** Cost of subscriptions: memory for each market, and the loop while many are asked for again in one burst. */
export async function subscriptions(): Promise<CaseResult> {
  const stack = await Stack.start('servers/quote.ts')
  try {
    const marketsOf = (connection: number) =>
      Array.from({ length: MARKETS_EACH }, (_, i) => connection * MARKETS_EACH + i)
    // What the first connections and the first code that runs cost is no part of it.
    await openQuotes(stack, CONNECTIONS, (i) => [1_000_000 + i])
    await sleep(1_000)
    const heapBefore = await stack.server.call<Heap>('heap')
    const before = await stack.server.call<Memory>('memory')
    await openQuotes(stack, CONNECTIONS, marketsOf)
    await sleep(2_000)
    const after = await stack.server.call<Memory>('memory')
    const heapAfter = await stack.server.call<Heap>('heap')
    const followed = CONNECTIONS * MARKETS_EACH

    const again = Array.from({ length: 2 * CONNECTIONS }, (_, i) =>
      i < CONNECTIONS
        ? []
        : marketsOf(i - CONNECTIONS).map((id) => `{"commend":"order-slip-quote@chloe-market#e@${id}"}`),
    )
    const { admin } = await stack.server.call<{ admin: number }>('ports')
    const framesBefore = await stack.server.call<number>('framesIn')
    const startedAtMs = performance.now()
    await stack.load.call('send', { frames: again })
    const healthz = watchHealth(admin)
    await eventually(
      async () => (await stack.server.call<number>('framesIn')) >= framesBefore + followed,
      60_000,
    )
    const tookMs = performance.now() - startedAtMs
    const slowestMs = await healthz.stop()
    const bytesEach = (sizeOf(heapAfter) - sizeOf(heapBefore)) / followed
    return {
      title: 'Cost of subscriptions, on quote-interact',
      how: `${CONNECTIONS} connections follow ${thousands(MARKETS_EACH)} markets each, no two the same, and ask for all of them again in one burst.`,
      rows: [
        { what: 'heap for each followed market', measured: `${thousands(Math.round(bytesEach))} bytes` },
        {
          what: 'resident memory for each',
          measured: `${thousands(Math.round((after.rss - before.rss) / followed))} bytes`,
        },
        { what: `${thousands(followed)} requests that are repeated`, measured: ms(tookMs) },
        {
          what: 'slowest /healthz meanwhile',
          measured: ms(slowestMs),
          reach: '≤ 500 ms',
          reached: slowestMs <= 500,
        },
      ],
      notes: [
        `What one followed market keeps alive (heap snapshots): ${grown(heapBefore, heapAfter, followed)}`,
      ],
    }
  } finally {
    await stack.stop()
  }
}

function sizeOf(heap: Heap): number {
  return Object.values(heap).reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Asks for /healthz all the time; tells how long the slowest answer took. */
function watchHealth(port: number) {
  let slowestMs = 0
  let stopped = false
  const watching = (async () => {
    while (!stopped) {
      const askedAtMs = performance.now()
      await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()
      slowestMs = Math.max(slowestMs, performance.now() - askedAtMs)
      await sleep(PROBE_MS)
    }
  })()
  return {
    async stop() {
      stopped = true
      await watching
      return slowestMs
    },
  }
}
