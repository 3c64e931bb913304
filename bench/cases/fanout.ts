import { Remote } from '../remote.ts'
import { type CaseResult, percent, type Row, ratio, thousands } from '../result.ts'
import { median, spread } from '../statistics.ts'

const CLIENTS = 1_000
const ROUNDS = 5
// 190 bytes, like a bid.
const MESSAGE = JSON.stringify({
  data: {
    amount: 1320000,
    nickName: 'x'.repeat(74),
    avatar: '',
    userId: 3600,
    auctionId: 3607,
    at: 1638685667639,
  },
  event: 'bid',
}).padEnd(190)

interface Peer {
  readonly name: string
  readonly script: string
  readonly path: string
  readonly hello?: string
  readonly options?: object
}

const peers: readonly Peer[] = [
  { name: 'Carillon', script: 'servers/carillon.ts', path: '/' },
  { name: 'ws loop, string', script: 'servers/ws-loop.ts', path: '/' },
  { name: 'ws loop, shared buffer', script: 'servers/ws-loop.ts', path: '/', options: { as: 'buffer' } },
  {
    name: 'Socket.IO',
    script: 'servers/socket-io.ts',
    path: '/socket.io/?EIO=4&transport=websocket',
    hello: '40',
  },
]

interface Load {
  readonly events: number
  readonly burst: number
  readonly window: number
}

class Contestant {
  readonly peer: Peer
  readonly server: Remote
  readonly load: Remote
  bytesPerEvent = 0
  readonly rates: number[] = []
  readonly cpuUs: number[] = []

  constructor(peer: Peer) {
    this.peer = peer
    this.server = new Remote(peer.script, { core: 0 })
    this.load = new Remote('load/raw-clients.ts', { core: 1 })
  }

  async open(): Promise<void> {
    const { port } = await this.server.call<{ port: number }>('ports')
    const { path, hello } = this.peer
    const paths = Array.from({ length: CLIENTS }, () => path)
    await this.load.call('open', {
      port,
      paths,
      ...(hello && { hello: paths.map(() => [hello]), helloBytes: 1 }),
    })
    await quiet(this.load)
    const before = await this.load.call<number>('received')
    await this.server.call('run', { ...this.peer.options, events: 1, burst: 1, message: MESSAGE, window: 10 })
    this.bytesPerEvent = (await quiet(this.load)) - before
  }

  /** One round; answers nothing, but remembers deliveries per second and CPU per delivery. */
  async round({ events, burst, window }: Load, keep: boolean): Promise<void> {
    const { control } = await this.server.call<{ control: number }>('ports')
    const before = await this.load.call<number>('received')
    await this.load.call('acknowledge', { port: control, bytes: burst * this.bytesPerEvent })
    const end = this.load.call<number>('until', { bytes: before + events * this.bytesPerEvent })
    const { start, cpuMs } = await this.server.call<{ start: number; cpuMs: number }>('run', {
      ...this.peer.options,
      events,
      burst,
      message: MESSAGE,
      window,
    })
    const deliveries = events * CLIENTS
    const seconds = ((await end) - start) / 1_000
    if (!keep) return
    this.rates.push(deliveries / seconds)
    this.cpuUs.push((cpuMs * 1_000) / deliveries)
  }

  async stop(): Promise<void> {
    await Promise.all([this.server.stop(), this.load.stop()])
  }
}

async function quiet(load: Remote): Promise<number> {
  let last = -1
  for (;;) {
    const received = await load.call<number>('received')
    if (received === last) return received
    last = received
    await new Promise((done) => setTimeout(done, 200))
  }
}

async function compare(load: Load): Promise<Contestant[]> {
  const contestants = peers.map((peer) => new Contestant(peer))
  try {
    for (const each of contestants) await each.open()
    // Interleaved: what disturbs the machine disturbs everybody.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const each of contestants) {
        const slow = load.burst > 1 && each.peer.name !== 'Carillon'
        await each.round(slow ? { ...load, events: load.burst } : load, round > 0)
      }
    }
  } finally {
    await Promise.all(contestants.map((each) => each.stop()))
  }
  return contestants
}

function report(
  contestants: readonly Contestant[],
  reach: number,
): { rows: Row[]; bars: { label: string; value: number }[] } {
  const [ours, loop] = contestants as [Contestant, Contestant]
  const gain = median(ours.rates) / median(loop.rates)
  const rows: Row[] = contestants.map(({ peer, rates, cpuUs }) => ({
    what: peer.name,
    measured: `${thousands(median(rates))} deliveries/s (${percent(spread(rates))}), ${median(cpuUs).toFixed(2)} µs CPU each`,
  }))
  rows.push({
    what: 'Carillon / ws loop',
    measured: ratio(gain),
    reach: `≥ ${reach} ×`,
    reached: gain >= reach,
  })
  return { rows, bars: contestants.map(({ peer, rates }) => ({ label: peer.name, value: median(rates) })) }
}

/** One message at a time, each in a flush of its own: the kernel's write is nearly all of it. */
export async function fanoutSingle(): Promise<CaseResult> {
  const contestants = await compare({ events: 200, burst: 1, window: 8 })
  return {
    title: 'One event to 1,000 sockets, one per flush',
    how: `${CLIENTS} raw sockets on the other core count 190-byte messages; ${ROUNDS} interleaved rounds of 200 events after one for warm-up; medians.`,
    unit: 'deliveries/s',
    ...report(contestants, 1.15),
  }
}

/** As many as fit into a tick: one write for each socket carries them all. */
export async function fanoutBurst(): Promise<CaseResult> {
  const contestants = await compare({ events: 20_000, burst: 200, window: 4 })
  return {
    title: 'As many events as fit to 1,000 sockets',
    how: `The same, in bursts of 200 events in one tick: 20,000 events a round, one burst for the slower peers.`,
    unit: 'deliveries/s',
    ...report(contestants, 30),
    notes: await profile(),
  }
}

async function profile(): Promise<string[]> {
  const contestant = new Contestant(peers[0] as Peer)
  const notes: string[] = []
  try {
    await contestant.open()
    for (const [name, load] of [
      ['one per flush', { events: 1_000, burst: 1, window: 8 }],
      ['bursts of 200', { events: 40_000, burst: 200, window: 4 }],
    ] as const) {
      await contestant.server.call('profileStart')
      await contestant.round(load, false)
      const times = await contestant.server.call<{ name: string; percent: number }[]>('profileStop')
      notes.push(
        `CPU profile, ${name}: ${times.map((each) => `${each.name} ${each.percent.toFixed(1)} %`).join(' · ')}`,
      )
    }
  } finally {
    await contestant.stop()
  }
  return notes
}
