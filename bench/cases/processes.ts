import { auction } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { now, Remote } from '../remote.ts'
import { type CaseResult, ms, type Row, ratio, thousands } from '../result.ts'
import { median } from '../statistics.ts'
import { auctionSubscribe, auctionToken, Stack } from './stack.ts'

const SUBSCRIBERS = 4_000
const EVENTS = 20
const ROUNDS = 5
/** A bid's frame is longer than any answer: 9 bytes for each subscription come before. */
const ANSWER_BYTES = 9

/** Processes that share the subscribers of one auction, and those subscribers. */
interface Fleet {
  readonly name: string
  readonly auctionId: number
  readonly servers: readonly Remote[]
  readonly load: Remote
  readonly eventMs: number[]
  readonly cpuUs: number[]
}

/** What two processes of one service on one machine give, each with a port of its own, or both behind one. */
export async function processes(): Promise<CaseResult> {
  const stack = await Stack.start('servers/auction.ts')
  const env = { NATS_URL: stack.nats.url, PROCESSES: '2' }
  const alone = () => new Remote('servers/auction.ts', { env })
  const fleet = (name: string, auctionId: number, ...servers: Remote[]): Fleet => {
    return { name, auctionId, servers, load: new Remote('load/raw-clients.ts'), eventMs: [], cpuUs: [] }
  }
  const fleets = [
    fleet('one process', 1_001, alone()),
    fleet('two processes, a port each', 1_002, alone(), alone()),
    fleet(
      'two processes behind one port (cluster)',
      1_003,
      new Remote('servers/auction-cluster.ts', { env }),
    ),
  ]
  try {
    for (const each of fleets) await subscribeAll(each)
    for (let round = 0; round <= ROUNDS; round++) {
      for (const each of fleets) await publishEach(stack, each, round > 0)
    }
    const shared = await fleets[2]?.servers[0]?.call<number[]>('connections')
    return {
      title: 'One event over two processes',
      how: `The real auction-push; ${thousands(SUBSCRIBERS)} subscribers of one auction, ${EVENTS} bids one after the other, each when all have the one before; ${ROUNDS} interleaved rounds after one for warm-up, medians. Nothing is pinned: the clients, which share the cores with the processes, take as much of them as those do.`,
      rows: rowsOf(fleets),
      notes: [`Connections of the two processes behind one port: ${shared?.map(thousands).join(' and ')}.`],
    }
  } finally {
    const remotes = fleets.flatMap(({ servers, load }) => [...servers, load])
    await Promise.all(remotes.map((remote) => remote.stop()))
    await stack.stop()
  }
}

async function subscribeAll({ servers, load, auctionId }: Fleet): Promise<void> {
  const count = SUBSCRIBERS / servers.length
  for (const server of servers) {
    await eventually(() => server.call<boolean>('ready'), 30_000)
    const { port } = await server.call<{ port: number }>('ports')
    const tokens = await Promise.all(Array.from({ length: count }, (_, i) => auctionToken(i)))
    const paths = tokens.map((token) => `/ws/${token}`)
    const hello = paths.map(() => [auctionSubscribe(auctionId)])
    await load.call('open', { port, paths, hello, helloBytes: ANSWER_BYTES })
    await eventually(async () => (await server.call<number>('subscriptions')) === count, 30_000)
    await server.call('settle')
  }
}

async function publishEach(stack: Stack, fleet: Fleet, keep: boolean): Promise<void> {
  const { auctionId, servers, load } = fleet
  const cpu = async () => {
    const each = await Promise.all(servers.map((server) => server.call<number>('cpuUs')))
    return each.reduce((total, us) => total + us, 0)
  }
  const payload = { amount: 1_320_000, avatar: '', nickName: 'x'.repeat(90), userId: 3_600, auctionId }
  const frameBytes = 4 + Buffer.byteLength(`{"data":${JSON.stringify(payload)},"event":"bid"}`)
  const cpuBefore = await cpu()
  for (let i = 0; i < EVENTS; i++) {
    const bytes = (await load.call<number>('received')) + SUBSCRIBERS * frameBytes
    const all = load.call<number>('until', { bytes })
    const publishedAtMs = now()
    stack.bus.publish(auction.bid, { auctionId: String(auctionId) }, payload)
    const tookMs = (await all) - publishedAtMs
    if (keep) fleet.eventMs.push(tookMs)
  }
  if (keep) fleet.cpuUs.push(((await cpu()) - cpuBefore) / (EVENTS * SUBSCRIBERS))
}

function rowsOf(fleets: readonly Fleet[]): Row[] {
  const [one] = fleets as [Fleet]
  return fleets.map(({ name, eventMs, cpuUs }) => ({
    what: name,
    measured: `all have it after ${ms(median(eventMs))} (${ratio(median(eventMs) / median(one.eventMs))}), ${median(cpuUs).toFixed(2)} µs CPU a delivery`,
  }))
}
