import { type Bucket, type Bus, RevisionMismatch } from '@carillon/bus'
import { bucketKey, unescapeKey, type VoiceLease, voiceLeases } from '@carillon/events'
import type { Clock, Logger } from '@carillon/service'

export interface LeasesOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly instanceId: string
  /** An instance that has not renewed for so long is dead. */
  readonly leaseMs: number
  /** This instance was taken for dead: what it holds is not its own any more. */
  readonly lost: () => void
}

interface Seen {
  readonly lease: VoiceLease
  readonly revision: number
  readonly sinceMs: number
}

/** Renewals in the time of a lease. */
const RENEWALS = 4

/**
 * The instances' leases. Each renews its own; one that is not renewed is taken by whoever is first, by
 * compare-and-set against the last renewal: an instance that lives on cannot renew a lease that was taken, and one
 * that has renewed cannot be taken.
 *
 * Silence counts only while we could have heard: from the moment on at which our own renewals succeed.
 */
export class Leases {
  readonly #options: LeasesOptions
  readonly #bucket: Bucket<VoiceLease>
  readonly #seen = new Map<string, Seen>()
  readonly #unknownSinceMs = new Map<string, number>()
  #own: string
  #generation = 0
  #revision = 0
  #renewals = 0
  #renewedAtMs = Number.NEGATIVE_INFINITY
  #healthySinceMs: number | undefined
  #recoveredAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #unwatch: (() => void) | undefined
  #renewing = false
  #stopped = false

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#bucket = options.bus.bucket(voiceLeases)
    this.#own = options.instanceId
  }

  /** The name under which this instance holds connections: a new one after a lease was lost. */
  get own(): string {
    return this.#own
  }

  get leaseMs(): number {
    return this.#options.leaseMs
  }

  /** Whether the storage takes our renewals. */
  get healthy(): boolean {
    return this.#healthySinceMs !== undefined
  }

  /** Whether we can judge others: our renewals have succeeded for the time of a lease. */
  get canJudge(): boolean {
    const since = this.#healthySinceMs
    return since !== undefined && this.#nowMs - since >= this.#options.leaseMs
  }

  /** Whether the storage was away and came back less than a lease ago: users may be about to come back as well. */
  get recovering(): boolean {
    return this.#healthySinceMs === undefined || this.#nowMs - this.#recoveredAtMs < this.#options.leaseMs
  }

  /** Whether a lease was taken from its instance: whoever was connected there is lost. */
  isTaken(name: string): boolean {
    return name !== this.#own && (this.#seen.get(name)?.lease.taken_by ?? null) !== null
  }

  /** Our place among the living, the oldest name first: it spreads what anybody may do. */
  get rank(): number {
    let rank = 0
    for (const [name, { lease }] of this.#seen) if (lease.taken_by === null && name < this.#own) rank += 1
    return rank
  }

  get living(): number {
    let count = 0
    for (const { lease } of this.#seen.values()) if (lease.taken_by === null) count += 1
    return count
  }

  start(): void {
    this.#unwatch = this.#bucket.watch((change) => {
      const name = unescapeKey(change.key)
      if (name === undefined) return
      if ('refused' in change) this.#seeRefused(name, change.revision ?? 0)
      else if (change.value === undefined) this.#seen.delete(name)
      else this.#see(name, change.value, change.revision as number)
    })
    this.#timer = setInterval(() => void this.#renew(), this.#options.leaseMs / RENEWALS)
    this.#timer.unref()
    this.#options.bus.onChange((connected) => {
      if (connected) void this.#renew()
      else this.#markUnhealthy()
    })
  }

  /** Gives the lease back: nobody needs to take it. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    this.#unwatch?.()
    if (this.#revision > 0) await this.#bucket.delete(bucketKey(this.#own)).catch(() => {})
  }

  /**
   * Takes the leases of the dead, and those taken by somebody who is dead; answers the names whose users are ours to
   * see to now, the ones that nobody knows included.
   */
  async takeDead(holders: Iterable<string>): Promise<string[]> {
    if (!this.canJudge) return []
    const ours: string[] = []
    for (const [name, seen] of this.#seen) {
      if (name === this.#own) continue
      const { taken_by } = seen.lease
      const isHolderGone = taken_by === null || !this.#isAlive(taken_by)
      if (taken_by === this.#own || (isHolderGone && this.#isSilent(seen) && (await this.#take(name, seen))))
        ours.push(name)
    }
    return [...ours, ...this.#unknown(holders)]
  }

  /** All users of a dead instance have been seen to. */
  async forget(name: string): Promise<void> {
    const seen = this.#seen.get(name)
    if (seen?.lease.taken_by !== this.#own) return
    await this.#bucket.delete(bucketKey(name), { revision: seen.revision })
  }

  get #nowMs(): number {
    return this.#options.clock.monotonic()
  }

  #isAlive(name: string): boolean {
    return name === this.#own || this.#seen.get(name)?.lease.taken_by === null
  }

  #isSilent({ sinceMs }: Seen): boolean {
    return (
      this.#nowMs - Math.max(sinceMs, this.#healthySinceMs ?? Number.POSITIVE_INFINITY) >=
      this.#options.leaseMs
    )
  }

  /** Holders without any lease: an instance that was taken for dead has written once more. */
  #unknown(holders: Iterable<string>): string[] {
    const unknown: string[] = []
    const now = this.#nowMs
    const still = new Set<string>()
    for (const name of holders) {
      if (name === this.#own || this.#seen.has(name)) continue
      still.add(name)
      const since = this.#unknownSinceMs.get(name) ?? now
      this.#unknownSinceMs.set(name, since)
      if (now - Math.max(since, this.#healthySinceMs ?? now) >= this.#options.leaseMs) unknown.push(name)
    }
    for (const name of this.#unknownSinceMs.keys()) if (!still.has(name)) this.#unknownSinceMs.delete(name)
    return unknown
  }

  async #take(name: string, seen: Seen): Promise<boolean> {
    try {
      const lease = { ...seen.lease, taken_by: this.#own }
      const revision = await this.#bucket.update(bucketKey(name), lease, seen.revision)
      this.#see(name, lease, revision)
      this.#options.log.warn({ lost: name }, 'an instance is lost, its users are taken over')
      return true
    } catch (error) {
      if (!(error instanceof RevisionMismatch)) throw error
      // It has renewed, or somebody was faster: see what stands there now.
      const entry = await this.#bucket.find(bucketKey(name))
      if (entry === undefined) this.#seen.delete(name)
      else if ('refused' in entry) this.#seeRefused(name, entry.revision)
      else this.#see(name, entry.value, entry.revision)
      return false
    }
  }

  /**
   * Somebody who is no instance has overwritten it. Its instance cannot renew it any more, and gives it up; nobody can
   * tell whether it was taken, so that whoever finds it silent may take it.
   */
  #seeRefused(name: string, revision: number): void {
    if (name === this.#own) return this.#lose()
    this.#see(name, { instance_id: name, renewed: 0, taken_by: null, started_at: 0 }, revision)
  }

  #see(name: string, lease: VoiceLease, revision: number): void {
    const before = this.#seen.get(name)
    if (before !== undefined && before.revision >= revision) return
    this.#seen.set(name, { lease, revision, sinceMs: this.#nowMs })
    if (name === this.#own && lease.taken_by !== null) this.#lose()
  }

  async #renew(): Promise<void> {
    if (this.#renewing || this.#stopped || !this.#options.bus.connected) return
    this.#renewing = true
    const name = this.#own
    try {
      this.#renewals += 1
      const lease: VoiceLease = {
        instance_id: this.#options.instanceId,
        renewed: this.#renewals,
        taken_by: null,
        started_at: this.#options.clock.now(),
      }
      const key = bucketKey(name)
      const revision =
        this.#revision === 0
          ? await this.#bucket.create(key, lease)
          : await this.#bucket.update(key, lease, this.#revision)
      if (name !== this.#own) return
      this.#revision = revision
      this.#see(name, lease, revision)
      this.#well()
    } catch (error) {
      if (error instanceof RevisionMismatch)
        await this.#recheckOwnLease(name).catch(() => this.#markUnhealthy())
      else this.#markUnhealthy()
    } finally {
      this.#renewing = false
    }
  }

  /** A renewal did not fit: its answer was lost and it stands there, the entry is gone, or the lease was taken. */
  async #recheckOwnLease(name: string): Promise<void> {
    const entry = await this.#bucket.find(bucketKey(name))
    if (name !== this.#own) return
    if (
      entry !== undefined &&
      !('refused' in entry) &&
      entry.value.taken_by === null &&
      entry.value.instance_id === this.#options.instanceId
    )
      this.#revision = entry.revision
    else if (entry === undefined && this.#revision === 0) return
    else this.#lose()
  }

  #lose(): void {
    this.#options.log.warn({ lease: this.#own }, 'the lease is lost, all connections are closed')
    this.#generation += 1
    this.#own = `${this.#options.instanceId}~${this.#generation}-${Math.random().toString(36).slice(2, 8)}`
    this.#revision = 0
    this.#options.lost()
    if (!this.#stopped) setTimeout(() => void this.#renew(), 0).unref()
  }

  #well(): void {
    const now = this.#nowMs
    const gapMs = now - this.#renewedAtMs
    if (this.#healthySinceMs === undefined || gapMs > (this.#options.leaseMs * 2) / RENEWALS) {
      // Not at the start, when there was nothing to be deaf to.
      if (Number.isFinite(this.#renewedAtMs)) this.#recoveredAtMs = now
      this.#healthySinceMs = now
    }
    this.#renewedAtMs = now
  }

  #markUnhealthy(): void {
    this.#healthySinceMs = undefined
  }
}
