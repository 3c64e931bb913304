import { setTimeout as sleep } from 'node:timers/promises'
import { auction } from '@carillon/events'
import { now, Remote } from '../remote.ts'
import { type CaseResult, ms, percent, type Row, ratio, thousands } from '../result.ts'
import { median, percentiles, spread } from '../statistics.ts'
import { paced } from './pace.ts'
import { AuctionStack, tokenOf } from './stack.ts'

const FIRST = 1_000_000

/** A bid whose sequence number and time stand at known places of its frame. */
function bid(auctionId: number, sequence: number) {
  return {
    amount: FIRST + sequence,
    avatar: now().toFixed(3),
    nickName: 'x'.repeat(90),
    userId: 3_600,
    auctionId,
  }
}

function layoutOf(auctionId: number) {
  const frame = `{"data":${JSON.stringify(bid(auctionId, 0))},"event":"bid"}`
  const header = 4
  return {
    length: header + frame.length,
    sequenceAt: header + frame.indexOf('"amount":') + 9,
    sequenceDigits: 7,
    timeAt: header + frame.indexOf('"avatar":"') + 10,
    timeDigits: 17,
  }
}

interface Walked {
  readonly frames: number
  readonly outOfOrder: number
  readonly latencies: number[]
}

async function deliver(options: {
  readonly connections: number
  readonly auctions: number
  readonly eventsPerSecond: number
  readonly seconds: number
  readonly reach: number
}): Promise<Row[]> {
  const { connections, auctions, eventsPerSecond, seconds, reach } = options
  const stack = await AuctionStack.start()
  try {
    await stack.open(connections, (i) => [1_000 + (i % auctions)])
    await stack.load.call('walkFrames', layoutOf(1_000))
    const sent = await paced(eventsPerSecond, seconds, (i) => {
      const auctionId = 1_000 + (i % auctions)
      const payload = bid(auctionId, Math.floor(i / auctions))
      stack.bus.publish(auction.bid, { auctionId: String(auctionId) }, payload)
    })
    const expected = (sent / auctions) * connections
    let walked = await stack.load.call<Walked>('walked')
    for (let tries = 0; walked.frames < expected && tries < 20; tries++) {
      await sleep(250)
      walked = await stack.load.call<Walked>('walked')
    }
    const found = percentiles(walked.latencies)
    const counters = await stack.server.call<{ deliveries: number; writes: number }>('counters')
    return [
      {
        what: `${thousands(expected / seconds)} deliveries/s for ${seconds} s, latency p50 / p90 / p99 / p99.9 / max`,
        measured: Object.values(found).map(ms).join(' / '),
        reach: `p99 ≤ ${reach} ms`,
        reached: found.p99 <= reach,
      },
      {
        what: 'deliveries wanted / arrived / out of order',
        measured: `${thousands(expected)} / ${thousands(walked.frames)} / ${walked.outOfOrder}`,
        reach: 'none lost, all in order',
        reached: walked.frames === expected && walked.outOfOrder === 0,
      },
      {
        what: 'messages for each socket write',
        measured: (counters.deliveries / counters.writes).toFixed(2),
      },
    ]
  } finally {
    await stack.stop()
  }
}

export async function latency(): Promise<CaseResult> {
  const options = { connections: 1_000, auctions: 1, eventsPerSecond: 50, seconds: 10, reach: 15 }
  return {
    title: 'NATS publish to client socket through auction-push',
    how: '1,000 authenticated subscribers of one auction, 50 bids a second; publisher, nats-server, service and clients share the machine.',
    rows: await deliver(options),
  }
}

export async function soak(): Promise<CaseResult> {
  const options = { connections: 15_000, auctions: 100, eventsPerSecond: 200, seconds: 60, reach: 50 }
  return {
    title: '15,000 connections, 100 auctions, 200 events/s for a minute',
    how: 'Every connection follows one auction; each delivery is checked for its order, on one process.',
    rows: await deliver(options),
  }
}

const IDLE = 5_000

/** Resident memory of idle connections, against bare ws. */
export async function memory(): Promise<CaseResult> {
  const bare = new Remote('servers/ws-loop.ts', { core: 0 })
  const bareLoad = new Remote('load/raw-clients.ts', { core: 1 })
  const bareKb = await rssPerConnection(bare, async (count) => {
    const { port } = await bare.call<{ port: number }>('ports')
    await bareLoad.call('open', { port, paths: Array.from({ length: count }, () => '/') })
  }).finally(() => Promise.all([bare.stop(), bareLoad.stop()]))

  const stack = await AuctionStack.start()
  try {
    await stack.open(1, () => [1])
    const before = await stack.server.call<Heap>('heap')
    await stack.open(1_000, (i) => [i % 100])
    const after = await stack.server.call<Heap>('heap')
    const fresh = await AuctionStack.start()
    const oursKb = await rssPerConnection(fresh.server, (count) =>
      fresh.open(count, (i) => [i % 100]),
    ).finally(() => fresh.stop())
    return {
      title: 'Idle authenticated subscribers',
      how: `${thousands(IDLE)} connections, each subscribed to one auction, after as many were opened for warm-up; resident memory after a full collection.`,
      rows: [
        { what: 'bare ws', measured: `${bareKb.toFixed(2)} KB each` },
        { what: 'auction-push', measured: `${oursKb.toFixed(2)} KB each` },
        {
          what: 'auction-push / bare ws',
          measured: ratio(oursKb / bareKb),
          reach: '≤ 1.6 ×',
          reached: oursKb / bareKb <= 1.6,
        },
      ],
      notes: [
        `What one connection keeps alive (heap snapshots around 1,000 connections): ${grown(before, after, 1_000)}`,
      ],
    }
  } finally {
    await stack.stop()
  }
}

type Heap = Record<string, { count: number; bytes: number }>

function grown(before: Heap, after: Heap, connections: number): string {
  return Object.entries(after)
    .map(([name, { count, bytes }]) => ({
      name,
      count: (count - (before[name]?.count ?? 0)) / connections,
      bytes: (bytes - (before[name]?.bytes ?? 0)) / connections,
    }))
    .filter(({ bytes }) => bytes >= 24)
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, 24)
    .map(({ name, count, bytes }) => `${name} ${count.toFixed(1)} (${bytes.toFixed(0)} B)`)
    .join(' · ')
}

async function rssPerConnection(server: Remote, open: (count: number) => Promise<unknown>): Promise<number> {
  // The first connections pay for code and pools.
  await open(IDLE)
  await sleep(500)
  const before = await server.call<{ rss: number }>('memory')
  await open(IDLE)
  await sleep(500)
  const after = await server.call<{ rss: number }>('memory')
  return (after.rss - before.rss) / IDLE / 1_024
}

const CONNECTS = 2_000
const CONNECT_ROUNDS = 5

/** Authenticated connects a second, against bare ws. */
export async function connects(): Promise<CaseResult> {
  const bare = new Remote('servers/ws-loop.ts', { core: 0 })
  const load = new Remote('load/raw-clients.ts', { core: 1 })
  const stack = await AuctionStack.start()
  const bareRates: number[] = []
  const ourRates: number[] = []
  try {
    const barePort = (await bare.call<{ port: number }>('ports')).port
    const ourPort = (await stack.server.call<{ port: number }>('ports')).port
    const tokens = await Promise.all(
      Array.from({ length: CONNECTS }, async (_, i) => `/ws/${await tokenOf(i)}`),
    )
    const bareMs = async (paths: readonly string[], port: number) => {
      const elapsed = await load.call<number>('open', { port, paths })
      await load.call('close')
      await sleep(300)
      return (CONNECTS * 1_000) / elapsed
    }
    for (let round = 0; round <= CONNECT_ROUNDS; round++) {
      const theirs = await bareMs(tokens, barePort)
      const ours = await bareMs(tokens, ourPort)
      if (round === 0) continue
      bareRates.push(theirs)
      ourRates.push(ours)
    }
  } finally {
    await Promise.all([bare.stop(), load.stop(), stack.stop()])
  }
  const part = median(ourRates) / median(bareRates)
  return {
    title: 'Authenticated connects',
    how: `${thousands(CONNECTS)} connects, 50 at a time, ${CONNECT_ROUNDS} interleaved rounds; the token is verified for each.`,
    rows: [
      { what: 'bare ws', measured: `${thousands(median(bareRates))}/s (${percent(spread(bareRates))})` },
      { what: 'auction-push', measured: `${thousands(median(ourRates))}/s (${percent(spread(ourRates))})` },
      { what: 'auction-push / bare ws', measured: ratio(part), reach: '≥ 0.6 ×', reached: part >= 0.6 },
    ],
  }
}
