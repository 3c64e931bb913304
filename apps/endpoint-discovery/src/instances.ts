import { ANNOUNCE_INTERVAL_MS, ANNOUNCE_TTL_MS, type Announcement } from '@carillon/events'

/** What is remembered of an announcement, whatever else a publisher has put into it. */
export type Announced = Pick<
  Announcement,
  'instance_id' | 'end_point' | 'region' | 'connections' | 'capacity' | 'draining'
>

interface Instance {
  readonly announcement: Announced
  readonly announcedAtMs: number
  /** Clients sent there since it last told its count. */
  sent: number
}

/** Instances of one service that are remembered; a new one beyond them has to wait until another is gone. */
const INSTANCES_MAX = 1_000

/** Announcements come a little later than their interval says: timers and networks are not exact. */
const ANNOUNCE_SLACK_MS = 500

/** The live instances of all services, as they announce themselves. */
export class Instances {
  readonly #byService = new Map<string, Map<string, Instance>>()
  readonly #random: () => number
  #connected = false
  /** From when on every live instance has announced itself once; undefined before the first connection. */
  #completeFromMs: number | undefined
  /** Nobody counts as gone before: whoever is live has announced itself by then. */
  #graceUntilMs = 0
  #sweptAtMs = 0

  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  /** Answers whether it was taken: there is a bound on how many instances a service may have. */
  announced(announcement: Announcement, nowMs: number): boolean {
    this.#sweep(nowMs)
    const { service, instance_id, end_point, region, connections, capacity, draining } = announcement
    let instances = this.#byService.get(service)
    if (instances === undefined) {
      instances = new Map()
      this.#byService.set(service, instances)
    }
    if (instances.size >= INSTANCES_MAX && !instances.has(instance_id)) return false
    const remembered = { instance_id, end_point, region, connections, capacity, draining }
    instances.set(instance_id, { announcement: remembered, announcedAtMs: nowMs, sent: 0 })
    return true
  }

  /** NATS is away: no announcement can arrive, so that nobody's silence means that they are gone. */
  disconnected(): void {
    this.#connected = false
  }

  /** NATS is there: every instance gets the time of one announcement's life to announce itself again. */
  connected(nowMs: number): void {
    if (this.#connected) return
    this.#connected = true
    this.#completeFromMs ??= nowMs + ANNOUNCE_INTERVAL_MS + ANNOUNCE_SLACK_MS
    this.#graceUntilMs = nowMs + ANNOUNCE_TTL_MS
  }

  /** Whether every live instance is known: not before all have had the time to announce themselves once. */
  isComplete(nowMs: number): boolean {
    return this.#completeFromMs !== undefined && nowMs >= this.#completeFromMs
  }

  /** The instances that are live and not draining. Those that have been silent for too long are forgotten. */
  live(service: string, nowMs: number): Announced[] {
    return this.#live(service, nowMs).map((instance) => instance.announcement)
  }

  /**
   * Picks an instance, in the region if there is one and anywhere else otherwise: of two drawn at random, the
   * one with more room. Instances without room are the last resort.
   */
  pick(service: string, region: string | undefined, nowMs: number): Announced | undefined {
    const live = this.#live(service, nowMs)
    const near = live.filter(({ announcement }) => announcement.region === region)
    const here = near.length > 0 ? near : live
    const withCapacity = here.filter((instance) => room(instance) > 0)
    const picked = this.#better(withCapacity.length > 0 ? withCapacity : here)
    if (picked === undefined) return undefined
    picked.sent += 1
    return picked.announcement
  }

  /** Forgets those who are gone of services that nobody asks for, too. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < ANNOUNCE_TTL_MS) return
    this.#sweptAtMs = nowMs
    for (const service of this.#byService.keys()) this.#live(service, nowMs)
  }

  #live(service: string, nowMs: number): Instance[] {
    const instances = this.#byService.get(service)
    if (instances === undefined) return []
    const grace = !this.#connected || nowMs < this.#graceUntilMs
    const live: Instance[] = []
    for (const [id, instance] of instances) {
      if (nowMs - instance.announcedAtMs > ANNOUNCE_TTL_MS && !grace) instances.delete(id)
      else if (!instance.announcement.draining) live.push(instance)
    }
    return live
  }

  #better(instances: readonly Instance[]): Instance | undefined {
    if (instances.length < 2) return instances[0]
    const first = Math.floor(this.#random() * instances.length)
    const second = (first + 1 + Math.floor(this.#random() * (instances.length - 1))) % instances.length
    const [a, b] = [instances[first] as Instance, instances[second] as Instance]
    return room(a) >= room(b) ? a : b
  }
}

function room({ announcement, sent }: Instance): number {
  return announcement.capacity - announcement.connections - sent
}
