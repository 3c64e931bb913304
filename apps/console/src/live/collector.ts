import type { Bus } from '@carillon/bus'
import { control, type Stats } from '@carillon/events'
import type { Clock } from '@carillon/service'
import type { Snapshot } from '../api.ts'
import type { Fleet } from './fleet.ts'
import { History } from './history.ts'

export interface CollectorOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly fleet: Fleet
  readonly services: readonly string[]
  readonly log: { warn(fields: object, message: string): void }
}

const ROUND_MS = 1_000
/** How long a round waits for answers; what comes later is left out. */
const ANSWER_MS = 700

/** Asks every instance for its numbers, once a second while somebody looks, whatever the number of lookers. */
export class Collector {
  readonly #options: CollectorOptions
  readonly #history = new History()
  readonly #lookers = new Set<(snapshot: Snapshot) => void>()
  #timer: NodeJS.Timeout | undefined
  #inRound = false
  #rounds = 0

  constructor(options: CollectorOptions) {
    this.#options = options
  }

  /** How many rounds of questions there have been. */
  get rounds(): number {
    return this.#rounds
  }

  /** Whether the fleet is being asked. */
  get asking(): boolean {
    return this.#timer !== undefined
  }

  get history(): History {
    return this.#history
  }

  /** Calls back with each snapshot from now on; answers how to stop that. The last one to stop ends the questions. */
  look(looker: (snapshot: Snapshot) => void): () => void {
    this.#lookers.add(looker)
    if (this.#timer === undefined) {
      this.#timer = setInterval(() => void this.#round(), ROUND_MS)
      void this.#round()
    }
    return () => {
      this.#lookers.delete(looker)
      if (this.#lookers.size === 0) this.stop()
    }
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#options.fleet.pause()
  }

  async #round(): Promise<void> {
    if (this.#inRound) return
    this.#inRound = true
    const { bus, clock, fleet, services, log } = this.#options
    try {
      if (bus.connected) {
        const askedAtMs = clock.monotonic()
        const answers = await Promise.all(services.map((service) => this.#ask(service)))
        if (this.#timer === undefined) return
        fleet.answered(answers.flat(), askedAtMs, clock.monotonic())
        this.#rounds += 1
      }
      this.#tell()
    } catch (error) {
      log.warn({ err: error }, 'the numbers of the fleet could not be collected')
    } finally {
      this.#inRound = false
    }
  }

  /** Never rejects: without a link to NATS, nobody has answered. An instance answers for its own service alone. */
  async #ask(service: string): Promise<Stats[]> {
    try {
      const answers = await this.#options.bus.requestMany(
        control.stats,
        { service },
        {},
        { waitMs: ANSWER_MS },
      )
      return answers.filter((stats) => stats.service === service)
    } catch {
      return []
    }
  }

  #tell(): void {
    const { bus, clock, fleet } = this.#options
    const snapshot: Snapshot = {
      at: clock.now(),
      nats_connected: bus.connected,
      instances: fleet.instances(clock.monotonic()),
      services: bus.connected ? fleet.values() : {},
    }
    if (bus.connected) this.#history.add(snapshot)
    for (const looker of [...this.#lookers]) looker(snapshot)
  }
}
