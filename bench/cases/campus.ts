import { setTimeout as sleep } from 'node:timers/promises'
import { signDevice } from '@carillon/auth'
import { Bus } from '@carillon/bus'
import { campus } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { Remote } from '../remote.ts'
import { type CaseResult, ms, percent, type Row, ratio, thousands } from '../result.ts'
import { median, percentiles, spread } from '../statistics.ts'

const CLIENTS = 1_000
const ROUNDS = 5
const MESSAGE = JSON.stringify({ memo_ids: Array.from({ length: 30 }, (_, i) => 100_000 + i) })
const KEY = 'key'
const serialNo = (index: number) => `SN${String(index).padStart(6, '0')}`

const env = (name: string, value: number) => Number(process.env[name] || value)

/** A real nats-server and the real campus-socketio on one core. */
async function startCampus() {
  const nats = await NatsServer.start()
  const bus = new Bus({ url: nats.url, name: 'bench' })
  bus.start()
  const server = new Remote('servers/campus.ts', { core: 0, env: { NATS_URL: nats.url } })
  const stop = async () => {
    await Promise.all([server.stop(), bus.stop()])
    await nats.stop()
  }
  try {
    await eventually(async () => bus.connected && (await server.call<boolean>('ready')), 30_000)
    const { port } = await server.call<{ port: number }>('ports')
    return { bus, server, port, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Registers so many devices; answers their signatures. */
async function register(bus: Bus, from: number, count: number): Promise<string[]> {
  const numbers = Array.from({ length: count }, (_, i) => from + i)
  const queue = numbers.values()
  const work = async () => {
    for (const i of queue)
      await bus.request(campus.device_put, {}, { serial_no: serialNo(i), device_key: KEY })
  }
  await Promise.all(Array.from({ length: 20 }, work))
  return numbers.map((i) => signDevice({ serialNo: serialNo(i), deviceKey: KEY }))
}

/** One event of a room to a thousand sockets, against `io.to(room).emit` of the same Socket.IO. */
export async function campusRoom(): Promise<CaseResult> {
  const ours = await startCampus()
  const theirs = new Remote('servers/socket-io-room.ts', { core: 0 })
  const contestants = [
    {
      name: 'campus-socketio',
      server: ours.server,
      path: '/socket/socket.io/',
      rates: [] as number[],
      cpuUs: [] as number[],
    },
    {
      name: 'io.to(room).emit',
      server: theirs,
      path: '/socket.io/',
      rates: [] as number[],
      cpuUs: [] as number[],
    },
  ]
  const loads = contestants.map(() => new Remote('load/raw-clients.ts', { core: 1 }))
  const rounds = env('BENCH_ROUNDS', ROUNDS)
  const events = env('BENCH_EVENTS', 200)
  try {
    const bytesPerEvent: number[] = []
    for (const [i, { server, path }] of contestants.entries()) {
      const load = loads[i] as Remote
      const { port } = await server.call<{ port: number }>('ports')
      const paths = Array.from({ length: CLIENTS }, () => `${path}?EIO=4&transport=websocket`)
      await load.call('open', { port, paths, hello: paths.map(() => ['40']), helloBytes: 1 })
      await quiet(load)
      await eventually(async () => (await server.call<number>('joinAll')) === CLIENTS)
      const before = await load.call<number>('received')
      await server.call('run', { events: 1, burst: 1, message: MESSAGE, window: 10 })
      bytesPerEvent.push((await quiet(load)) - before)
    }
    for (let round = 0; round <= rounds; round++) {
      for (const [i, { server, rates, cpuUs }] of contestants.entries()) {
        const load = loads[i] as Remote
        const bytes = bytesPerEvent[i] as number
        const { control } = await server.call<{ control: number }>('ports')
        const before = await load.call<number>('received')
        await load.call('acknowledge', { port: control, bytes })
        const end = load.call<number>('until', { bytes: before + events * bytes })
        const { start, cpuMs } = await server.call<{ start: number; cpuMs: number }>('run', {
          ...{ events, burst: 1, message: MESSAGE, window: 8 },
        })
        const seconds = ((await end) - start) / 1_000
        if (round === 0) continue
        rates.push((events * CLIENTS) / seconds)
        cpuUs.push((cpuMs * 1_000) / (events * CLIENTS))
      }
    }
  } finally {
    await Promise.all([...loads.map((load) => load.stop()), theirs.stop(), ours.stop()])
  }
  const rows: Row[] = contestants.map(({ name, rates, cpuUs }) => ({
    what: name,
    measured: `${thousands(median(rates))} deliveries/s (${percent(spread(rates))}), ${median(cpuUs).toFixed(2)} µs CPU each`,
  }))
  const gain = median(contestants[0]?.rates ?? []) / median(contestants[1]?.rates ?? [])
  rows.push({
    what: 'campus-socketio / io.to(room).emit',
    measured: ratio(gain),
    reach: '≥ 1.3 ×',
    reached: gain >= 1.3,
  })
  return {
    title: 'One event to a room of 1,000 Socket.IO clients',
    how: `${CLIENTS} raw WebSocket clients of revision 4 on the other core count ${MESSAGE.length}-byte events; ${rounds} interleaved rounds of ${events} events, one per flush, after one for warm-up; medians.`,
    unit: 'deliveries/s',
    rows,
    bars: contestants.map(({ name, rates }) => ({ label: name, value: median(rates) })),
  }
}

async function quiet(load: Remote): Promise<number> {
  let last = -1
  for (;;) {
    const received = await load.call<number>('received')
    if (received === last) return received
    last = received
    await sleep(300)
  }
}

/** Resident memory of an idle authenticated device, against a plain Socket.IO server's client. */
export async function campusMemory(): Promise<CaseResult> {
  const [first, further] = [env('BENCH_FIRST', 3_000), env('BENCH_IDLE', 5_000)]
  const plain = new Remote('servers/socket-io-room.ts', { core: 0 })
  const plainLoad = new Remote('load/campus-devices.ts', { core: 1 })
  const plainKb = await growth(plain, first, further, async (count) => {
    const { port } = await plain.call<{ port: number }>('ports')
    const signatures = Array.from({ length: count }, () => 'c24xMjM0NTY3ODphYmNkZWY=')
    await plainLoad.call('open', { port, path: '/socket.io/', signatures })
  }).finally(() => Promise.all([plain.stop(), plainLoad.stop()]))

  const ours = await startCampus()
  const load = new Remote('load/campus-devices.ts', { core: 1 })
  let registered = 0
  const oursKb = await growth(ours.server, first, further, async (count) => {
    const signatures = await register(ours.bus, registered, count)
    registered += count
    await load.call('open', { port: ours.port, signatures })
    await eventually(async () => (await ours.server.call<number>('identified')) === registered, 120_000)
  }).finally(() => Promise.all([load.stop(), ours.stop()]))
  return {
    title: 'Idle authenticated devices on campus-socketio',
    how: `What ${thousands(further)} WebSocket connections, each authenticated as a device of its own, add to ${thousands(first)}: resident memory after a full collection. The plain server answers auth:ok to everybody.`,
    rows: [
      { what: 'plain Socket.IO', measured: `${plainKb.toFixed(2)} KB each` },
      { what: 'campus-socketio', measured: `${oursKb.toFixed(2)} KB each` },
      {
        what: 'campus-socketio / plain Socket.IO',
        measured: ratio(oursKb / plainKb),
        reach: '≤ 1.2 ×',
        reached: oursKb / plainKb <= 1.2,
      },
    ],
  }
}

async function growth(
  server: Remote,
  first: number,
  further: number,
  open: (count: number) => Promise<unknown>,
): Promise<number> {
  const settled = async (connections: number) => {
    await eventually(
      async () => (await server.call<{ connections: number }>('memory')).connections === connections,
      30_000,
    )
    await sleep(1_000)
    return (await server.call<{ rss: number }>('memory')).rss
  }
  await open(first)
  const before = await settled(first)
  await open(further)
  return ((await settled(first + further)) - before) / further / 1_024
}

/** From an internal service's request to the answer of one of 5,000 devices. */
export async function campusPush(): Promise<CaseResult> {
  const [devices, seconds, perSecond] = [env('BENCH_DEVICES', 5_000), env('BENCH_SECONDS', 20), 200]
  const ours = await startCampus()
  const load = new Remote('load/campus-devices.ts', { core: 1 })
  const latencies: number[] = []
  let failed = 0
  try {
    const signatures = await register(ours.bus, 0, devices)
    const openMs = await load.call<number>('open', { port: ours.port, signatures })
    const push = async () => {
      const startedAt = performance.now()
      const device = serialNo(Math.floor(Math.random() * devices))
      const { status } = await ours.bus.request(
        campus.device,
        { serialNo: device, event: 'media_stop' },
        { stop: true },
      )
      if (status !== 'acked') failed += 1
      latencies.push(performance.now() - startedAt)
    }
    for (let i = 0; i < perSecond; i++) await push()
    latencies.length = 0
    const startedAt = performance.now()
    const underWay: Promise<unknown>[] = []
    for (let sent = 0; sent < seconds * perSecond; ) {
      const due = ((performance.now() - startedAt) / 1_000) * perSecond
      for (; sent < due; sent++) underWay.push(push().catch(() => failed++))
      await sleep(2)
    }
    await Promise.all(underWay)
    const { p50, p99 } = percentiles(latencies)
    return {
      title: 'Live push to a device’s answer',
      how: `${thousands(devices)} authenticated devices on one process, ${perSecond} pushes a second to devices at random for ${seconds} s; publisher, nats-server, service and devices share the machine.`,
      rows: [
        { what: 'push to acknowledgement, p50 / p99', measured: `${ms(p50)} / ${ms(p99)}` },
        { what: 'not acknowledged', measured: String(failed), reach: 'none', reached: failed === 0 },
        {
          what: 'devices that connect and authenticate',
          measured: `${thousands((devices * 1_000) / openMs)}/s`,
        },
      ],
    }
  } finally {
    await Promise.all([load.stop(), ours.stop()])
  }
}
