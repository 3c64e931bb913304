import type { Bus } from '@carillon/bus'
import { type VoiceSession, voice } from '@carillon/events'
import type { Clock, Logger } from '@carillon/service'
import type { Connections, Member } from './connections.ts'
import type { Directory } from './directory.ts'
import type { Evictions } from './evictions.ts'
import type { Leases } from './leases.ts'
import { inParallel } from './parallel.ts'
import type { Records } from './records.ts'
import { Takeovers } from './takeovers.ts'
import { connect, isHeldBy, leave, type UserRecord } from './user.ts'

export interface PresenceOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly instanceId: string
  readonly leases: Leases
  readonly users: Records<UserRecord>
  readonly directory: Directory
  readonly connections: Connections
  readonly evictions: Evictions
  readonly exitGraceMs: number
  readonly handoverGraceMs: number
  readonly draining: () => boolean
  /** The connection is the user's from now on, and `member.lease` says under which lease. */
  readonly registered: (member: Member) => void
  /** What is due of so many users failed, and is tried again. */
  readonly failed: (count: number) => void
}

/** An eviction that has not been told after so long is finished by whoever sees it. */
const UNFINISHED_MS = 5_000
/** Between the instances' attempts at what anybody may do. */
const RANK_DELAY_MS = 1_000
const PARALLEL = 32

interface Observed {
  readonly of: string
  readonly sinceMs: number
}

/** Who is connected: what becomes of users whose connection comes, goes, or is lost with its instance. */
export class Presence {
  readonly #options: PresenceOptions
  /** Connections whose end is being stored, by their ids. */
  readonly #leaving = new Map<string, Promise<void>>()
  /** Connections that are gone, which could not be stored yet. */
  readonly #unleft = new Set<Member>()
  /** Connections that could not be stored yet. */
  readonly #unstored = new Set<Member>()
  #absences = new Map<string, Observed>()
  #unfinished = new Map<string, Observed>()
  readonly #takeovers: Takeovers
  #sweeping = false

  constructor(options: PresenceOptions) {
    this.#options = options
    this.#takeovers = new Takeovers({
      ...options,
      offline: (userId) => this.#offline(userId, 'instance_lost'),
      failed: (first, count) => this.#fail(first, count),
    })
  }

  /**
   * Makes the connection the user's. Where that cannot be stored, `sweep` tries `again`: by then the user may have
   * come to another instance, and a connection that was opened before that one must not take its place.
   */
  async register(member: Member, again = false): Promise<void> {
    const { users, leases, clock, bus, instanceId, connections, registered } = this.#options
    this.#unstored.delete(member)
    const isNewestHere = () => !member.ended && connections.ofUser(member.userId) === member
    if (!isNewestHere()) return
    const lease = leases.own
    const own = { lease, connection: member.id, at: member.openedAtMs }
    let olderThanOther = false
    try {
      const { before, record } = await users.change(member.userId, (record) => {
        olderThanOther = again && isOpenedLater(record.session, own)
        const contested = isContested(record.session, own, member.predecessor)
        // Each time it is decided: a newer connection may have been stored, or this one may have ended, meanwhile.
        return olderThanOther || !isNewestHere()
          ? undefined
          : connect(record, contested ? { ...own, contested } : own)
      })
      // By clocks of two machines, which may be wrong: a client that is alive comes back, and is the newest then.
      if (olderThanOther) return member.connection.close({ code: 1012, reason: 'service restart' })
      member.lease = lease
      if (record.session?.contested) member.contestedAtMs = clock.monotonic()
      // Ended meanwhile: what was just stored must not stay.
      if (member.ended) return void this.left(member)
      if (!isNewestHere()) return
      if (lease !== leases.own) return member.connection.close({ code: 1012, reason: 'service restart' })
      registered(member)
      const reason = before.session === null ? 'connected' : 'replaced'
      if (!isHeldBy(before.session, lease, member.id) && bus.connected) {
        const payload = { user_id: member.userId, instance_id: instanceId, reason, at: clock.now() }
        bus.publish(voice.online, { userId: member.userId }, payload)
      }
    } catch (error) {
      this.#warn(error, 'a connection could not be stored, trying again')
      if (!member.ended) this.#unstored.add(member)
    }
  }

  /** The connection is gone. Answers when that is stored. */
  left(member: Member): Promise<void> {
    const { connections } = this.#options
    const current = connections.ofUser(member.userId)
    connections.remove(member)
    this.#unstored.delete(member)
    // Never stored, or replaced by a newer one here: the user is not gone.
    if (member.lease === undefined || (current !== undefined && current !== member)) return Promise.resolve()
    const leaving = this.#leave(member)
      .catch((error: unknown) => {
        this.#unleft.add(member)
        this.#warn(error, 'the end of a connection could not be stored, trying again')
      })
      .finally(() => this.#leaving.delete(member.id))
    this.#leaving.set(member.id, leaving)
    return leaving
  }

  /** Waits until every connection that has ended is stored as such, but not for ever. */
  async settled(timeoutMs: number): Promise<void> {
    const timeout = new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())
    await Promise.race([Promise.all(this.#leaving.values()), timeout])
  }

  /** Writes our users' records anew, before they age out. */
  async refresh(): Promise<void> {
    const { users, connections } = this.#options
    await this.#forEach([...connections], async ({ userId, lease, id }) => {
      const isOurs = (record: UserRecord) => lease !== undefined && isHeldBy(record.session, lease, id)
      await users.change(userId, (record) => (isOurs(record) ? { ...record } : undefined))
    })
  }

  /** Does what is due, and what failed before. */
  async sweep(): Promise<void> {
    const { bus } = this.#options
    if (this.#sweeping || !bus.connected) return
    this.#sweeping = true
    try {
      await this.#forEach([...this.#unstored], (member) => this.register(member, true))
      await this.#forEach([...this.#unleft], async (member) => {
        await this.#leave(member)
        this.#unleft.delete(member)
      })
      // Each on its own: one that fails does not keep the others from what is due.
      for (const stage of [
        () => this.#endOrphanedSessions(),
        () => this.#takeovers.begin(),
        () => this.#endAbsences(),
        () => this.#finishEvictions(),
      ]) {
        await stage().catch((error: unknown) => this.#fail(error, 1))
      }
    } finally {
      this.#sweeping = false
    }
  }

  /** Does the task for each; one that fails, such as for a record that is no longer valid, keeps no other from it. */
  async #forEach<T>(items: readonly T[], task: (item: T) => Promise<unknown>): Promise<void> {
    const failures: unknown[] = []
    await inParallel(PARALLEL, items, (item) => task(item).catch((error: unknown) => failures.push(error)))
    if (failures.length > 0) this.#fail(failures[0], failures.length)
  }

  async #leave(
    member: Pick<Member, 'userId' | 'id' | 'reason' | 'lease'> &
      Partial<Pick<Member, 'handedOver' | 'contestedAtMs'>>,
  ): Promise<void> {
    const { users, leases, clock, exitGraceMs, handoverGraceMs, evictions, draining } = this.#options
    const { userId, id, reason, contestedAtMs = Number.NEGATIVE_INFINITY } = member
    const handedOver = draining() || member.handedOver === true
    const lease = member.lease as string
    // Perhaps the older one of two, and the newer one is coming back.
    const contested = clock.monotonic() - contestedAtMs < handoverGraceMs
    // A user who comes back after an outage, a drain, or a connection that was too old, is given the time for it.
    const graceMs = Math.max(
      exitGraceMs,
      handedOver || contested ? handoverGraceMs : 0,
      leases.recovering ? this.#recoveryMs : 0,
    )
    if (graceMs > 0) {
      const { changed } = await users.change(userId, (record) =>
        leave(record, { lease, connection: id }, reason, graceMs, clock.now()),
      )
      if (changed) this.#offline(userId, handedOver ? 'drained' : reason)
      return
    }
    const before = await evictions.evict(userId, reason, ({ session }) => isHeldBy(session, lease, id))
    if (before) this.#offline(userId, reason)
  }

  /** Sessions that are ours by the record, but have no connection: a write whose answer was lost, for instance. */
  async #endOrphanedSessions(): Promise<void> {
    const { directory, leases, connections } = this.#options
    const lease = leases.own
    const orphans = [...directory.ofLease(lease)].flatMap(({ user_id: userId, session }) => {
      const known = session === null || connections.ofUser(userId) !== undefined
      if (known || this.#leaving.has(session.connection)) return []
      return [{ userId, id: session.connection, reason: 'closed' as const, lease }]
    })
    await this.#forEach(orphans, (orphan) => this.#leave(orphan))
  }

  get #recoveryMs(): number {
    return this.#options.leases.leaseMs
  }

  /** Users who were given time to come back and have not: measured by ourselves, from when we first saw it. */
  async #endAbsences(): Promise<void> {
    const { directory, evictions } = this.#options
    const absent = [...directory.absent()].flatMap(({ record }) =>
      record.absence === null ? [] : [{ record, absence: record.absence }],
    )
    const due = this.#due(
      this.#absences,
      absent.map(({ record, absence }) => ({
        userId: record.user_id,
        of: String(absence.at),
        afterMs: absence.grace_ms,
      })),
    )
    this.#absences = due.observed
    const over = absent.filter(({ record }) => due.userIds.has(record.user_id))
    await this.#forEach(over, async ({ record: { user_id }, absence: { at, reason } }) => {
      await evictions.evict(user_id, reason, ({ session, absence }) => session === null && absence?.at === at)
    })
  }

  async #finishEvictions(): Promise<void> {
    const { directory, evictions } = this.#options
    const open = [...directory.evicting()].flatMap(({ record }) =>
      record.eviction === null ? [] : [{ userId: record.user_id, eviction: record.eviction }],
    )
    const due = this.#due(
      this.#unfinished,
      open.map(({ userId, eviction }) => ({ userId, of: eviction.id, afterMs: UNFINISHED_MS })),
    )
    this.#unfinished = due.observed
    const left = open.filter(({ userId }) => due.userIds.has(userId))
    await this.#forEach(left, ({ userId, eviction }) => evictions.finish(userId, eviction))
  }

  /**
   * Which of these have been seen for so long without a break. While we cannot judge, nothing has been seen. The
   * instances take their turns, so that one does it and the others need not.
   */
  #due(
    before: ReadonlyMap<string, Observed>,
    now: readonly { readonly userId: string; readonly of: string; readonly afterMs: number }[],
  ) {
    const { leases, clock } = this.#options
    const nowMs = clock.monotonic()
    const observed = new Map<string, Observed>()
    const userIds = new Set<string>()
    if (!leases.healthy) return { observed, userIds }
    const turnMs = leases.rank * RANK_DELAY_MS
    for (const { userId, of, afterMs } of now) {
      const last = before.get(userId)
      const sinceMs = last?.of === of ? last.sinceMs : nowMs
      observed.set(userId, { of, sinceMs })
      if (nowMs - sinceMs >= afterMs + turnMs) userIds.add(userId)
    }
    return { observed, userIds }
  }

  #offline(userId: string, reason: string): void {
    const { bus, clock, instanceId } = this.#options
    if (!bus.connected) return
    const payload = { user_id: userId, instance_id: instanceId, reason, at: clock.now() }
    bus.publish(voice.offline, { userId }, payload)
  }

  #fail(first: unknown, count: number): void {
    this.#options.failed(count)
    this.#warn(first, `what was due failed ${count} times, trying again`)
  }

  #warn(error: unknown, message: string): void {
    this.#options.log.warn({ reason: error instanceof Error ? error.message : String(error) }, message)
  }
}

/** Whether another instance has stored a connection while this one was being opened: either may be the newer one. */
function isContested(
  other: VoiceSession | null,
  own: VoiceSession,
  predecessor: string | undefined,
): boolean {
  return other !== null && other.lease !== own.lease && other.connection !== predecessor
}

function isOpenedLater(other: VoiceSession | null, { lease, connection, at }: VoiceSession): boolean {
  return other !== null && !isHeldBy(other, lease, connection) && other.at > at
}
