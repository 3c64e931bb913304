import { setTimeout as sleep } from 'node:timers/promises'
import { auction } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { now, Remote } from '../remote.ts'
import { type CaseResult, ms, percent, type Row, ratio, thousands } from '../result.ts'
import { median, percentiles, spread } from '../statistics.ts'
import { callAtRate } from './publish-rate.ts'
import { histogram, receiveAll } from './received-frames.ts'
import { auctionToken, openAuctions, Stack } from './stack.ts'

const FIRST = 1_000_000
const WARM_UP_SECONDS = 2

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
    topicAt: header + frame.indexOf('"auctionId":') + 12,
    topicDigits: 4,
    sequenceAt: header + frame.indexOf('"amount":') + 9,
    sequenceDigits: 7,
    timeAt: header + frame.indexOf('"avatar":"') + 10,
    timeDigits: 17,
  }
}

async function deliver(options: {
  readonly connections: number
  readonly auctions: number
  readonly eventsPerSecond: number
  readonly seconds: number
  readonly reach: number
}): Promise<Pick<CaseResult, 'rows' | 'notes'>> {
  const { connections, auctions, eventsPerSecond, seconds, reach } = options
  const stack = await Stack.start('servers/auction.ts')
  try {
    await openAuctions(stack, connections, (i) => [1_000 + (i % auctions)])
    const publish = (first: number) => (i: number) => {
      const auctionId = 1_000 + (i % auctions)
      const payload = bid(auctionId, first + Math.floor(i / auctions))
      stack.bus.publish(auction.bid, { auctionId: String(auctionId) }, payload)
    }
    await stack.load.call('recordFrames', layoutOf(1_000))
    const warm = await callAtRate(eventsPerSecond, WARM_UP_SECONDS, publish(0))
    await receiveAll(stack.load, (warm / auctions) * connections)
    await stack.load.call('recordFrames', layoutOf(1_000))
    // The warm-up's own figures are collected as garbage before the clock starts.
    await sleep(1_000)
    const sent = await callAtRate(eventsPerSecond, seconds, publish(warm))
    const expected = (sent / auctions) * connections
    const received = await receiveAll(stack.load, expected)
    const found = percentiles(received.latencies)
    const counters = await stack.server.call<{ deliveries: number; writes: number }>('counters')
    const rows: Row[] = [
      {
        what: `${thousands(expected / seconds)} deliveries/s for ${seconds} s, latency p50 / p90 / p99 / p99.9 / max`,
        measured: Object.values(found).map(ms).join(' / '),
        reach: `p99 ≤ ${reach} ms`,
        reached: found.p99 <= reach,
      },
      {
        what: 'deliveries wanted / arrived / out of order',
        measured: `${thousands(expected)} / ${thousands(received.frames)} / ${received.outOfOrder}`,
        reach: 'none lost, all in order',
        reached: received.frames === expected && received.outOfOrder === 0,
      },
      {
        what: 'messages for each socket write',
        measured: (counters.deliveries / counters.writes).toFixed(2),
      },
    ]
    return { rows, notes: [`Latencies: ${histogram(received.latencies)}`] }
  } finally {
    await stack.stop()
  }
}

export async function latency(): Promise<CaseResult> {
  const options = { connections: 1_000, auctions: 1, eventsPerSecond: 50, seconds: 10, reach: 15 }
  return {
    title: 'NATS publish to client socket through auction-push',
    how: '1,000 authenticated subscribers of one auction, 50 bids a second; publisher, nats-server, service and clients share the machine.',
    ...(await deliver(options)),
  }
}

export async function soak(): Promise<CaseResult> {
  const options = { connections: 15_000, auctions: 100, eventsPerSecond: 200, seconds: 60, reach: 50 }
  return {
    title: '15,000 connections, 100 auctions, 200 events/s for a minute',
    how: 'Every connection follows one auction; each delivery is checked for its order, on one process.',
    ...(await deliver(options)),
  }
}

const IDLE = 10_000
const FIRST_CONNECTIONS = 5_000

/** Resident memory of idle connections, against bare ws. */
export async function memory(): Promise<CaseResult> {
  const bare = new Remote('servers/ws-loop.ts', { core: 0 })
  const bareLoad = new Remote('load/raw-clients.ts', { core: 1 })
  const bareKb = await rssPerConnection(bare, async (count) => {
    const { port } = await bare.call<{ port: number }>('ports')
    await bareLoad.call('open', { port, paths: Array.from({ length: count }, () => '/') })
  }).finally(() => Promise.all([bare.stop(), bareLoad.stop()]))

  const stack = await Stack.start('servers/auction.ts')
  try {
    await openAuctions(stack, 1, () => [1])
    const before = await stack.server.call<Heap>('heap')
    await openAuctions(stack, 1_000, (i) => [i % 100])
    const after = await stack.server.call<Heap>('heap')
    const fresh = await Stack.start('servers/auction.ts')
    const oursKb = await rssPerConnection(fresh.server, (count) =>
      openAuctions(fresh, count, (i) => [i % 100]),
    ).finally(() => fresh.stop())
    return {
      title: 'Idle authenticated subscribers',
      how: `What ${thousands(IDLE)} connections, each subscribed to one auction, add to ${thousands(FIRST_CONNECTIONS)}: resident memory after a full collection.`,
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

export type Heap = Record<string, { count: number; bytes: number }>

/** What of each kind has been added to the heap, divided by a number of connections, topics … */
export function grown(before: Heap, after: Heap, connections: number): string {
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

/**
 * Kilobytes of resident memory that each further connection takes, once there are some thousand: the heap's young
 * generation and the allocator's pools, which the first ones pay for, are no part of it.
 */
async function rssPerConnection(server: Remote, open: (count: number) => Promise<unknown>): Promise<number> {
  const settled = async (connections: number) => {
    await eventually(async () => (await server.call<Memory>('memory')).connections === connections)
    await sleep(500)
    return (await server.call<Memory>('memory')).rss
  }
  await open(FIRST_CONNECTIONS)
  const before = await settled(FIRST_CONNECTIONS)
  await open(IDLE)
  return ((await settled(FIRST_CONNECTIONS + IDLE)) - before) / IDLE / 1_024
}

interface Memory {
  readonly rss: number
  readonly connections: number
}

const CONNECTS = 2_000
const CONNECT_ROUNDS = 5

/** Authenticated connects a second, against bare ws: with tokens never seen before, and coming back with them. */
export async function connects(): Promise<CaseResult> {
  const bare = new Remote('servers/ws-loop.ts', { core: 0 })
  const load = new Remote('load/raw-clients.ts', { core: 1 })
  const stack = await Stack.start('servers/auction.ts')
  const rates: Record<'bare' | 'fresh' | 'again', number[]> = { bare: [], fresh: [], again: [] }
  let profile: { name: string; percent: number }[] = []
  try {
    const barePort = (await bare.call<{ port: number }>('ports')).port
    const ourPort = (await stack.server.call<{ port: number }>('ports')).port
    const rate = async (paths: readonly string[], port: number) => {
      const elapsed = await load.call<number>('open', { port, paths })
      await load.call('close')
      await sleep(1_000)
      return (CONNECTS * 1_000) / elapsed
    }
    for (let round = 0; round <= CONNECT_ROUNDS; round++) {
      const users = Array.from({ length: CONNECTS }, (_, i) => round * CONNECTS + i)
      const paths = await Promise.all(users.map(async (user) => `/ws/${await auctionToken(user)}`))
      if (round === 1) await stack.server.call('profileStart')
      const [theirs, fresh, again] = [
        await rate(paths, barePort),
        await rate(paths, ourPort),
        await rate(paths, ourPort),
      ]
      if (round === 0) continue
      rates.bare.push(theirs)
      rates.fresh.push(fresh)
      rates.again.push(again)
    }
    profile = await stack.server.call('profileStop')
  } finally {
    await Promise.all([bare.stop(), load.stop(), stack.stop()])
  }
  const rows: Row[] = Object.entries(rates).map(([name, all]) => ({
    what: {
      bare: 'bare ws',
      fresh: 'auction-push, tokens seen for the first time',
      again: 'auction-push, coming back',
    }[name] as string,
    measured: `${thousands(median(all))}/s (${percent(spread(all))})`,
  }))
  for (const [what, all] of [
    ['first time', rates.fresh],
    ['coming back', rates.again],
  ] as const) {
    const part = median(all) / median(rates.bare)
    rows.push({ what: `${what} / bare ws`, measured: ratio(part), reach: '≥ 0.6 ×', reached: part >= 0.6 })
  }
  return {
    title: 'Authenticated connects',
    how: `${thousands(CONNECTS)} connects, 50 at a time, ${CONNECT_ROUNDS} interleaved rounds; each round has new tokens, which then come a second time.`,
    rows,
    notes: [
      `CPU profile of auction-push: ${profile.map((each) => `${each.name} ${each.percent.toFixed(1)} %`).join(' · ')}`,
    ],
  }
}
