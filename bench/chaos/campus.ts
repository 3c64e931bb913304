import { setTimeout as sleep } from 'node:timers/promises'
import { Bus, NoResponders } from '@carillon/bus'
import { type CampusEventName, campus } from '@carillon/events'
import { AppProcess, eventually, NatsServer, testEnvironment } from '@carillon/testkit'
import { StickyProxy } from '../../apps/campus-socketio/test/sticky-proxy.ts'
import { CHAOS_KEY, ChaosDevice } from './campus-devices.ts'
import { seeded } from './random.ts'

export interface CampusChaos {
  readonly devices: number
  /** How long faults go on. */
  readonly durationMs: number
  readonly seed: number
  readonly print: (line: string) => void
}

/** What is done to the fleet, again and again. */
const FAULTS = [
  'gateway killed',
  'gateway stopped',
  'gateway paused',
  'NATS killed',
  'devices leave',
] as const
type Fault = (typeof FAULTS)[number]

const EVENTS_PER_SECOND = 40
const ACK_TIMEOUT_MS = 1_500
const SETTLED_WITHIN_MS = 90_000

/** A durable event. */
interface Durable {
  readonly n: number
  readonly serialNo: string
  readonly event: CampusEventName
  readonly expiresAtMs: number
}

/** One that the stream has confirmed. */
interface Stored extends Durable {
  readonly sequence: number
}

/** `npm run chaos -- campus`: 300 devices for two minutes, or for as many as asked. */
export const campusCase = (options: {
  readonly minutes: number | undefined
  readonly seed: number
  readonly print: (line: string) => void
}) => campusChaos({ ...options, devices: 300, durationMs: (options.minutes ?? 2) * 60_000 })

const bodies: Readonly<Partial<Record<CampusEventName, object>>> = {
  bind_class: { id: 1 },
  unbind_class: { unbind: true },
  bind_school: { id: 1, name: 'school' },
  memos_unread: { updated_at: 'now' },
  text_stop: { stop: true },
}

/**
 * Devices over two instances, durable and live pushes, and faults at random. Answers what does not hold at the end:
 * every durable event that the stream took was acknowledged by its device, replaced by a newer one of its kind, has
 * expired, or still waits; and no live push was answered `acked` that its device had not acknowledged.
 */
export async function campusChaos(options: CampusChaos): Promise<readonly string[]> {
  const { devices: count, durationMs, seed, print } = options
  const random = seeded(seed)
  const nats = await NatsServer.start()
  const internal = new Bus({ url: nats.url, name: 'chaos' })
  const gateways: AppProcess[] = []
  const devices: ChaosDevice[] = []
  let proxy: StickyProxy | undefined
  try {
    internal.start()
    await eventually(() => internal.connected)
    const environment = {
      ...testEnvironment('CAMPUS', nats),
      CAMPUS_ACK_TIMEOUT_MS: String(ACK_TIMEOUT_MS),
    }
    for (let i = 0; i < 2; i++)
      gateways.push(await AppProcess.start('campus-socketio', 'CAMPUS', environment))
    proxy = await StickyProxy.start(...gateways.map(({ port }) => port))
    for (let i = 0; i < count; i++) {
      const serialNo = `CHAOS${i}`
      await internal.request(campus.device_put, {}, { serial_no: serialNo, device_key: CHAOS_KEY })
      devices.push(new ChaosDevice(serialNo, proxy.url, { polling: i % 10 === 0, random }))
    }
    await eventually(() => devices.every(({ socket }) => socket.connected), 60_000)
    print(`${count} devices over two instances`)

    const publisher = new Publisher(internal, devices, random)
    const endsAt = performance.now() + durationMs
    const publishing = publisher.run(endsAt)
    for (let round = 1; performance.now() < endsAt; round++) {
      await sleep(1_000 + random() * 2_000)
      const fault = FAULTS[Math.floor(random() * FAULTS.length)] as Fault
      await play(fault, { nats, gateways, devices, random })
      print(`fault ${round}: ${fault}`)
    }
    await publishing
    await eventually(() => internal.connected, 30_000)
    for (const { socket } of devices) if (!socket.connected) socket.connect()
    print(publisher.summary)
    return [...publisher.falselyAcked, ...(await settled(internal, devices, publisher))]
  } finally {
    for (const device of devices) device.stop()
    proxy?.stop()
    await Promise.all(gateways.map((gateway) => gateway.stop('SIGKILL')))
    await internal.stop()
    await nats.stop()
  }
}

/** An internal service that pushes to devices, and notes what it was told. */
class Publisher {
  readonly stored: Stored[] = []
  /** Perhaps stored: nobody said so. */
  readonly unconfirmed: Durable[] = []
  readonly falselyAcked: string[] = []
  readonly #internal: Bus
  readonly #devices: readonly ChaosDevice[]
  readonly #random: () => number
  readonly #outcomes = new Map<string, number>()
  #last = 0

  constructor(internal: Bus, devices: readonly ChaosDevice[], random: () => number) {
    this.#internal = internal
    this.#devices = devices
    this.#random = random
  }

  get summary(): string {
    return [...this.#outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(', ')
  }

  async run(untilMs: number): Promise<void> {
    const underWay: Promise<void>[] = []
    const startedAt = performance.now()
    for (let sent = 0; performance.now() < untilMs; ) {
      const due = ((performance.now() - startedAt) / 1_000) * EVENTS_PER_SECOND
      for (; sent < due; sent++) underWay.push(this.#random() < 0.5 ? this.#store() : this.#push())
      await sleep(20)
    }
    await Promise.all(underWay)
  }

  async #store(): Promise<void> {
    const { device, event, n, body } = this.#next()
    const { serialNo } = device
    const expiresAtMs = Date.now() + (this.#random() < 0.1 ? 3_000 : 3_600_000)
    const headers = { 'Carillon-Expires-At': String(expiresAtMs) }
    try {
      const sequence = await this.#internal.publishStored(campus.outbox, { serialNo, event }, body, {
        headers,
      })
      this.stored.push({ n, serialNo, event, sequence, expiresAtMs })
      this.#count('stored')
    } catch {
      this.unconfirmed.push({ n, serialNo, event, expiresAtMs })
      this.#count('not stored')
    }
  }

  async #push(): Promise<void> {
    const { device, event, n, body } = this.#next()
    const { serialNo } = device
    try {
      const { status } = await this.#internal.request(campus.device, { serialNo, event }, body, {
        timeoutMs: 10_000,
      })
      this.#count(status)
      if (status === 'acked' && !device.acked.has(n))
        this.falselyAcked.push(`push ${n} was answered acked, but ${serialNo} had not acknowledged it`)
    } catch (error) {
      this.#count(error instanceof NoResponders ? 'nobody there' : 'no answer')
    }
  }

  #next() {
    const device = this.#devices[Math.floor(this.#random() * this.#devices.length)] as ChaosDevice
    const names = Object.keys(bodies) as CampusEventName[]
    const event = names[Math.floor(this.#random() * names.length)] as CampusEventName
    const n = ++this.#last
    return { device, event, n, body: { ...bodies[event], n } }
  }

  #count(outcome: string): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
  }
}

interface Fleet {
  readonly nats: NatsServer
  readonly gateways: readonly AppProcess[]
  readonly devices: readonly ChaosDevice[]
  readonly random: () => number
}

async function play(fault: Fault, { nats, gateways, devices, random }: Fleet): Promise<void> {
  const gateway = gateways[Math.floor(random() * gateways.length)] as AppProcess
  switch (fault) {
    case 'gateway killed':
      await gateway.stop('SIGKILL')
      await sleep(random() * 2_000)
      return gateway.resume()
    case 'gateway stopped':
      await gateway.stop('SIGTERM')
      return gateway.resume()
    case 'gateway paused':
      gateway.signal('SIGSTOP')
      await sleep(2_000 + random() * 4_000)
      return gateway.signal('SIGCONT')
    case 'NATS killed':
      await nats.halt('SIGKILL')
      await sleep(random() * 3_000)
      return nats.resume()
    case 'devices leave':
      for (const { socket } of devices) {
        if (random() > 0.2) continue
        if (socket.connected) socket.disconnect()
        else socket.connect()
      }
      return
    default:
      return fault satisfies never
  }
}

/** Waits until every stored event is accounted for, or the time for it is over; answers what is not. */
async function settled(
  internal: Bus,
  devices: readonly ChaosDevice[],
  published: Pick<Publisher, 'stored' | 'unconfirmed'>,
): Promise<readonly string[]> {
  const deadline = performance.now() + SETTLED_WITHIN_MS
  for (;;) {
    const missing = await differences(internal, devices, published).catch((error: Error) => [error.message])
    if (missing.length === 0 || performance.now() > deadline) return missing
    await sleep(1_000)
  }
}

async function differences(
  internal: Bus,
  devices: readonly ChaosDevice[],
  { stored, unconfirmed }: Pick<Publisher, 'stored' | 'unconfirmed'>,
): Promise<string[]> {
  const newest = new Map<string, number>()
  for (const { serialNo, event, sequence } of stored) {
    const kind = `${serialNo} ${event}`
    newest.set(kind, Math.max(newest.get(kind) ?? 0, sequence))
  }
  const found: string[] = []
  for (const { serialNo, acked, socket } of devices) {
    const state = await internal.request(campus.device_state, {}, { serial_no: serialNo })
    const pending = new Set((state.pending ?? []).map(({ event }) => event))
    if (!socket.connected || state.online !== true) found.push(`${serialNo} is not connected`)
    for (const { n, event, sequence, expiresAtMs, ...its } of stored) {
      if (its.serialNo !== serialNo || newest.get(`${serialNo} ${event}`) !== sequence) continue
      if (acked.has(n) || pending.has(event) || expiresAtMs <= Date.now()) continue
      // A newer one that nobody confirmed may have replaced it, and is accounted for.
      const isNewer = (each: Durable) => each.serialNo === serialNo && each.event === event && each.n > n
      if (unconfirmed.some((each) => isNewer(each) && (acked.has(each.n) || each.expiresAtMs <= Date.now())))
        continue
      found.push(`${event} ${n} for ${serialNo} is lost: neither acknowledged, waiting nor expired`)
    }
  }
  return found
}
