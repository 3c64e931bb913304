import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from '@carillon/bus'
import type { Clock } from '@carillon/service'
import type { Directory } from './directory.ts'
import type { Evictions } from './evictions.ts'
import type { Leases } from './leases.ts'
import { inParallel } from './parallel.ts'
import type { Records } from './records.ts'
import { leave, type UserRecord } from './user.ts'

export interface TakeoversOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly leases: Leases
  readonly users: Records<UserRecord>
  readonly directory: Directory
  readonly evictions: Evictions
  /** Time for the users of a dead instance to come back; 0 evicts them at once. */
  readonly exitGraceMs: number
  /** The user has lost the connection, and that is stored. */
  readonly offline: (userId: string) => void
  /** So many users of a lease could not be seen to, or its end could not be stored; each is tried again. */
  readonly failed: (first: unknown, count: number) => void
}

const PARALLEL = 32
/** Between the beginnings of two evictions. */
const STEP_MS = 5
/** All users of an instance begin within this time: of more than 4,000 with shorter steps. */
const SPREAD_MS = 20_000

/**
 * The users of instances that are dead: evicted, or given the grace. Each eviction is several writes that every
 * instance sees, and a notice that is relayed. As fast as they go they take all of the processor and of NATS, and
 * notices of rooms that lost nobody wait behind them; so they begin one after the other, in steps.
 */
export class Takeovers {
  readonly #options: TakeoversOptions
  readonly #underWay = new Set<string>()

  constructor(options: TakeoversOptions) {
    this.#options = options
  }

  /** Takes the leases of the dead, and begins with their users. What is left of an earlier time is gone on with. */
  async begin(): Promise<void> {
    const { leases, directory, failed } = this.#options
    for (const lease of await leases.takeDead([...directory.leases()])) {
      if (this.#underWay.has(lease)) continue
      this.#underWay.add(lease)
      void this.#takeOver(lease)
        .catch((error: unknown) => failed(error, 1))
        .finally(() => this.#underWay.delete(lease))
    }
  }

  async #takeOver(lease: string): Promise<void> {
    const { leases, directory, clock, bus, failed } = this.#options
    const users = [...directory.ofLease(lease)].map(({ user_id }) => user_id)
    if (users.length === 0) return leases.forget(lease)
    const startedAtMs = clock.monotonic()
    const stepMs = Math.min(STEP_MS, SPREAD_MS / users.length)
    const failures: unknown[] = []
    await inParallel(PARALLEL, [...users.entries()], async ([place, userId]) => {
      const waitMs = startedAtMs + place * stepMs - clock.monotonic()
      if (waitMs > 0) await sleep(waitMs, undefined, { ref: false })
      // Without NATS nothing can be decided: whoever holds the lease when it is back begins anew.
      if (bus.connected) await this.#lose(userId, lease).catch((error: unknown) => failures.push(error))
    })
    if (failures.length > 0) failed(failures[0], failures.length)
  }

  async #lose(userId: string, lease: string): Promise<void> {
    const { users, evictions, clock, exitGraceMs, offline } = this.#options
    const isLost = (record: UserRecord) => record.session?.lease === lease
    if (exitGraceMs > 0) {
      const { changed } = await users.change(userId, (record) =>
        record.session !== null && isLost(record)
          ? leave(record, record.session, 'instance_lost', exitGraceMs, clock.now())
          : undefined,
      )
      if (changed) offline(userId)
      return
    }
    if (await evictions.evict(userId, 'instance_lost', isLost)) offline(userId)
  }
}
