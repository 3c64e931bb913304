import { ANNOUNCE_INTERVAL_MS } from '@carillon/events'
import { Instances } from '../../apps/endpoint-discovery/src/instances.ts'
import { type BackOff, fullJitter } from './back-off.ts'
import { Calendar } from './calendar.ts'
import { seededRandom } from './random.ts'

/** What the fleet consists of. Every simulated client stands for `weight` real ones, and rates shrink alike. */
export interface FleetSize {
  readonly clients: number
  readonly instances: number
  /** Connections that an instance accepts. */
  readonly capacity: number
  readonly weight: number
  /** Instances of endpoint-discovery. */
  readonly discoveries: number
}

/** From docs/benchmarks.md: connects a second with tokens that were not seen before, and answers of discovery. */
export const CONNECTS_PER_SECOND = 3_300
export const ANSWERS_PER_SECOND = 47_000
export const ZONES = 3

const SERVICE = 'auction-push'
const STEP_MS = 20
const ROUND_TRIP_MS = 40
/** A client gives up on a socket or an answer that does not come. */
const CLIENT_TIMEOUT_MS = 5_000
/** Attempts beyond are all at the cap of the back-off. */
const ATTEMPTS_MAX = 31

interface Gateway {
  readonly id: string
  readonly zone: number
  readonly announceAtMs: number
  connections: number
  alive: boolean
  draining: boolean
  /** Attempts of those whose sockets wait to be accepted, and since when. */
  waiting: { readonly attempt: number; readonly sinceMs: number }[]
  connectsLeft: number
}

interface Discovery {
  readonly zone: number
  /** The real table, with the real choice. */
  readonly instances: Instances
  alive: boolean
  waiting: number[]
  answersLeft: number
}

/** What happened in one second, in real clients. */
export interface Second {
  connects: number
  answers: number
  failures: number
}

/** A fleet on a simulated clock: gateways, discovery instances, and the clients that have no connection. */
export class Fleet {
  readonly size: FleetSize
  readonly random: () => number
  readonly gateways: readonly Gateway[]
  readonly seconds: Second[] = []
  readonly #discoveries: readonly Discovery[]
  readonly #asks = new Calendar(STEP_MS)
  readonly #arrivals = new Calendar(STEP_MS)
  readonly #backOff: BackOff
  nowMs = 0
  #connected = 0

  constructor(size: FleetSize, seed: number, backOff: BackOff = fullJitter) {
    this.size = size
    this.random = seededRandom(seed)
    this.#backOff = backOff
    this.gateways = Array.from({ length: size.instances }, (_, i) => ({
      ...{ id: String(i), zone: i % ZONES, connections: 0, alive: true, draining: false },
      ...{ announceAtMs: this.random() * ANNOUNCE_INTERVAL_MS, waiting: [], connectsLeft: 0 },
    }))
    this.#discoveries = Array.from({ length: size.discoveries }, (_, i) => {
      const instances = new Instances(this.random)
      instances.connected(0)
      return { zone: i % ZONES, instances, alive: true, waiting: [], answersLeft: 0 }
    })
    for (const gateway of this.gateways) this.#announce(gateway)
  }

  /** Clients that have no connection, in real clients. */
  get disconnected(): number {
    return this.size.clients - this.#connected * this.size.weight
  }

  /** As after a long quiet time: every gateway has its share. */
  fill(): void {
    const share = Math.floor(this.#simulated / this.gateways.length)
    let rest = this.#simulated - share * this.gateways.length
    for (const gateway of this.gateways) {
      gateway.connections = share + Number(rest-- > 0)
      this.#connected += gateway.connections
      this.#announce(gateway)
    }
  }

  /** Every client that has no connection begins to look for one, at a moment within this time. */
  connectAll(overMs: number): void {
    const missing = this.#simulated - this.#connected
    for (let i = 0; i < missing; i++) this.#asks.add(this.nowMs + this.random() * overMs, 0)
  }

  /** A gateway is gone at once; its sockets are reset where the machine is still there. */
  kill(gateway: Gateway): void {
    gateway.alive = false
    for (const { attempt } of gateway.waiting.splice(0)) this.#tryAgain(attempt + 1)
    for (let i = 0; i < gateway.connections; i++) this.#tryAgain(0)
    this.#connected -= gateway.connections
    gateway.connections = 0
  }

  /** A zone is gone, its discovery instance included. Whoever connects there hears nothing. */
  killZone(zone: number): void {
    for (const discovery of this.#discoveries) if (discovery.zone === zone) discovery.alive = false
    for (const gateway of this.gateways) if (gateway.zone === zone) this.kill(gateway)
    this.#lostZone = zone
  }
  #lostZone: number | undefined

  /** Announces that it drains, and closes its connections at these times from now. */
  drain(gateway: Gateway, closeAtMs: readonly number[]): void {
    gateway.draining = true
    this.#announce(gateway)
    for (const atMs of closeAtMs) this.#closings.add(this.nowMs + atMs, Number(gateway.id))
  }
  readonly #closings = new Calendar(STEP_MS)

  /** Lets time pass until everybody is connected, or for so long. */
  run(limitMs: number): void {
    const end = this.nowMs + limitMs
    while (this.nowMs < end && (this.#asks.size > 0 || this.#closings.size > 0 || this.disconnected > 0))
      this.#step()
  }

  get #simulated(): number {
    return Math.round(this.size.clients / this.size.weight)
  }

  #step(): void {
    const { nowMs } = this
    if (nowMs % 1_000 === 0) this.seconds.push({ connects: 0, answers: 0, failures: 0 })
    for (const gateway of this.gateways) {
      if ((nowMs - Math.floor(gateway.announceAtMs / STEP_MS) * STEP_MS) % ANNOUNCE_INTERVAL_MS === 0)
        this.#announce(gateway)
    }
    for (const index of this.#closings.take(nowMs)) this.#close(this.gateways[index] as Gateway)
    for (const attempt of this.#asks.take(nowMs)) this.#ask(attempt)
    for (const discovery of this.#discoveries) this.#answer(discovery)
    for (const entry of this.#arrivals.take(nowMs)) this.#arrive(entry)
    for (const gateway of this.gateways) this.#accept(gateway)
    this.nowMs += STEP_MS
  }

  #announce({ id, alive, draining, connections, zone }: Gateway): void {
    if (!alive) return
    const announcement = {
      ...{ service: SERVICE, instance_id: id, end_point: `ws://${id}`, region: `zone-${zone}`, version: '' },
      ...{ connections, capacity: this.size.capacity / this.size.weight, draining, started_at: 0 },
    }
    for (const { instances } of this.#discoveries) instances.announced(announcement, this.nowMs)
  }

  #close(gateway: Gateway): void {
    if (!gateway.alive || gateway.connections === 0) return
    gateway.connections -= 1
    this.#connected -= 1
    this.#tryAgain(0)
  }

  #tryAgain(attempt: number, afterMs = 0): void {
    const next = Math.min(attempt, ATTEMPTS_MAX)
    if (attempt > 0) this.#second.failures += this.size.weight
    this.#asks.add(this.nowMs + afterMs + STEP_MS + this.#backOff(next, this.random), next)
  }

  /** The load balancer of discovery knows after a moment which of them live. */
  #ask(attempt: number): void {
    const live = this.#discoveries.filter(({ alive }) => alive)
    live[Math.floor(this.random() * live.length)]?.waiting.push(attempt)
  }

  #answer(discovery: Discovery): void {
    const perStep = (ANSWERS_PER_SECOND * STEP_MS) / 1_000 / this.size.weight
    discovery.answersLeft = Math.min(discovery.answersLeft + perStep, perStep + 1)
    const count = Math.min(discovery.waiting.length, Math.floor(discovery.answersLeft))
    discovery.answersLeft -= count
    for (const attempt of discovery.waiting.splice(0, count)) {
      this.#second.answers += this.size.weight
      const picked = discovery.instances.pick(SERVICE, undefined, this.nowMs)
      if (picked === undefined) this.#tryAgain(attempt + 1)
      else
        this.#arrivals.add(
          this.nowMs + ROUND_TRIP_MS,
          Number(picked.instance_id) * (ATTEMPTS_MAX + 1) + attempt,
        )
    }
  }

  #arrive(entry: number): void {
    const attempt = entry % (ATTEMPTS_MAX + 1)
    const gateway = this.gateways[Math.floor(entry / (ATTEMPTS_MAX + 1))] as Gateway
    if (!gateway.alive)
      this.#tryAgain(attempt + 1, gateway.zone === this.#lostZone ? CLIENT_TIMEOUT_MS : ROUND_TRIP_MS)
    else gateway.waiting.push({ attempt, sinceMs: this.nowMs })
  }

  #accept(gateway: Gateway): void {
    if (gateway.waiting.length === 0) return
    const perStep = (CONNECTS_PER_SECOND * STEP_MS) / 1_000 / this.size.weight
    gateway.connectsLeft = Math.min(gateway.connectsLeft + perStep, perStep + 1)
    let taken = 0
    for (const { attempt, sinceMs } of gateway.waiting) {
      if (this.nowMs - sinceMs > CLIENT_TIMEOUT_MS) this.#tryAgain(attempt + 1)
      else if (gateway.connections * this.size.weight >= this.size.capacity) this.#tryAgain(attempt + 1)
      else if (gateway.connectsLeft >= 1) {
        gateway.connectsLeft -= 1
        gateway.connections += 1
        this.#connected += 1
        this.#second.connects += this.size.weight
      } else break
      taken += 1
    }
    gateway.waiting.splice(0, taken)
  }

  get #second(): Second {
    return this.seconds.at(-1) ?? { connects: 0, answers: 0, failures: 0 }
  }
}
