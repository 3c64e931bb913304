import type { Announcement, Stats } from '@carillon/events'
import type { Instance } from '../api.ts'
import { Measurement, type Reading, readingOf } from './measurement.ts'
import { type Measured, valuesOf } from './series.ts'

interface Known {
  readonly service: string
  readonly instanceId: string
  announcement: Announcement | undefined
  stats: Stats | undefined
  reading: Reading | undefined
  measured: Measured | undefined
  heardAtMs: number
  /** Rounds of questions without an answer since the last one. */
  missed: number
}

/** Instances of one service that are known; a new one beyond them has to wait until another is gone. */
const INSTANCES_MAX = 500
/** Neither announced nor answered for so long: gone. Three announcements, and several questions. */
const GONE_AFTER_MS = 6_000
/** Numbers of an instance that does not answer are counted in so often, then left out. */
const MISSED_MAX = 3

/** The instances of all services, by their announcements and their answers. Times are monotonic. */
export class Fleet {
  readonly #services: ReadonlyMap<string, Map<string, Known>>
  #lastRoundAtMs: number | undefined
  #connected = false
  #connectedAtMs = 0

  constructor(services: readonly string[]) {
    this.#services = new Map(services.map((service) => [service, new Map()]))
  }

  connected(nowMs: number): void {
    this.#connected = true
    this.#connectedAtMs = nowMs
  }

  /** NATS is away: nobody's silence means anything. */
  disconnected(): void {
    this.#connected = false
    this.#lastRoundAtMs = undefined
  }

  /** Answers whether it was taken: there is a bound on how many instances a service may have. */
  announced(announcement: Announcement, nowMs: number): boolean {
    const known = this.#known(announcement.service, announcement.instance_id, nowMs)
    if (known === undefined) return false
    known.announcement = announcement
    known.heardAtMs = nowMs
    return true
  }

  /** Every instance was asked at `askedAtMs`; these have answered by now. */
  answered(answers: readonly Stats[], askedAtMs: number, nowMs: number): void {
    const sinceLastRoundMs = this.#lastRoundAtMs === undefined ? undefined : nowMs - this.#lastRoundAtMs
    for (const known of this.#all()) known.missed += 1
    for (const stats of answers) {
      const known = this.#known(stats.service, stats.instance_id, nowMs)
      if (known === undefined) continue
      const reading = readingOf(stats)
      const measurement = Measurement.between(reading, known.reading, sinceLastRoundMs)
      known.stats = stats
      known.reading = reading
      known.measured = { measurement, lagP99Ms: stats.event_loop_lag_p99_ms }
      known.heardAtMs = nowMs
      known.missed = 0
    }
    this.#lastRoundAtMs = askedAtMs
  }

  /** Nobody asks any more: what is measured next has no beginning. */
  pause(): void {
    this.#lastRoundAtMs = undefined
    for (const known of this.#all()) {
      known.reading = undefined
      known.measured = undefined
    }
  }

  /** The instances that are there, by service and id. Those that have been silent for too long are forgotten. */
  instances(nowMs: number): Instance[] {
    this.#sweep(nowMs)
    return [...this.#all()]
      .map(describe)
      .sort((a, b) => compare(a.service, b.service) || compare(a.instance_id, b.instance_id))
  }

  idsOf(service: string, nowMs: number): string[] {
    this.#sweep(nowMs)
    return [...(this.#services.get(service)?.values() ?? [])].map(({ instanceId }) => instanceId)
  }

  /** What live instances of a service run with, by the setting's name. */
  settingsOf(service: string, nowMs: number): Readonly<Record<string, unknown>>[] {
    this.#sweep(nowMs)
    return [...(this.#services.get(service)?.values() ?? [])].flatMap(({ stats }) =>
      stats === undefined ? [] : [stats.settings],
    )
  }

  /** Where clients of a service connect: the instance with most room that is not going away. */
  endPointOf(service: string, nowMs: number): string | undefined {
    this.#sweep(nowMs)
    const announced = [...(this.#services.get(service)?.values() ?? [])]
      .flatMap(({ announcement }) => announcement ?? [])
      .filter(({ draining }) => !draining)
      .sort((a, b) => b.capacity - b.connections - (a.capacity - a.connections))
    return announced[0]?.end_point
  }

  /** The numbers of each service, of its instances together. */
  values(): Record<string, ReturnType<typeof valuesOf>> {
    const values: Record<string, ReturnType<typeof valuesOf>> = {}
    for (const [service, instances] of this.#services) {
      const measured = [...instances.values()].flatMap(({ measured, missed }) =>
        measured !== undefined && missed <= MISSED_MAX ? measured : [],
      )
      if (measured.length > 0) values[service] = valuesOf(service, measured)
    }
    return values
  }

  *#all(): Iterable<Known> {
    for (const instances of this.#services.values()) yield* instances.values()
  }

  #known(service: string, instanceId: string, nowMs: number): Known | undefined {
    const instances = this.#services.get(service)
    if (instances === undefined) return undefined
    const known = instances.get(instanceId)
    if (known !== undefined) return known
    if (instances.size >= INSTANCES_MAX) this.#sweep(nowMs)
    if (instances.size >= INSTANCES_MAX) return undefined
    const made: Known = {
      service,
      instanceId,
      announcement: undefined,
      stats: undefined,
      reading: undefined,
      measured: undefined,
      heardAtMs: nowMs,
      missed: 0,
    }
    instances.set(instanceId, made)
    return made
  }

  #sweep(nowMs: number): void {
    if (!this.#connected) return
    for (const instances of this.#services.values())
      for (const [id, known] of instances) {
        const silentMs = nowMs - Math.max(known.heardAtMs, this.#connectedAtMs)
        if (silentMs > GONE_AFTER_MS) instances.delete(id)
      }
  }
}

function describe({ service, instanceId, announcement, stats, measured, missed }: Known): Instance {
  const described = announcement ?? stats
  const connections = announcement?.connections
  const capacity = announcement?.capacity
  return {
    service,
    instance_id: instanceId,
    region: described?.region ?? '',
    version: described?.version ?? '',
    started_at: described?.started_at ?? 0,
    state: announcement?.draining ? 'draining' : (stats?.state ?? 'ready'),
    ...(connections !== undefined && {
      connections:
        (missed === 0 ? measured?.measurement.gauge('carillon_connections') : undefined) ?? connections,
    }),
    ...(capacity !== undefined && { capacity }),
    ...(stats && { event_loop_lag_p99_ms: stats.event_loop_lag_p99_ms }),
    ...queuedBytes(measured),
    silent: missed > 0,
  }
}

function queuedBytes(measured: Measured | undefined) {
  const bytes = measured?.measurement.gauge('carillon_queued_bytes')
  return bytes !== undefined && { queued_bytes: bytes }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
