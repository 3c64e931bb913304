import { setTimeout as sleep } from 'node:timers/promises'
import { type Bucket, BusUnavailable, RevisionMismatch } from '@carillon/bus'
import { bucketKey } from '@carillon/events'

export interface Stored<R> {
  readonly record: R
  /** 0 where nothing is stored. */
  readonly revision: number
}

export interface Changed<R> extends Stored<R> {
  readonly before: R
  readonly changed: boolean
}

export interface RecordsOptions<R> {
  readonly bucket: Bucket<R>
  readonly make: (id: string) => R
  /** What is known without asking. */
  readonly known?: (id: string) => Stored<R> | undefined
  /** What was read or written. */
  readonly learned?: (id: string, record: R | undefined, revision: number) => void
}

/** How long a change is tried for; then whoever wants it must try again later. */
const TRY_MS = 10_000
const RETRY_MS = 50

/** Records of one kind, each changed by compare-and-set and by nothing else. */
export class Records<R> {
  readonly #options: RecordsOptions<R>

  constructor(options: RecordsOptions<R>) {
    this.#options = options
  }

  /** The record as it was last seen, where one is known without asking. */
  known(id: string): R | undefined {
    return this.#options.known?.(id)?.record
  }

  /** The record as it is stored, or a new one. @throws {BusUnavailable} */
  async read(id: string): Promise<Stored<R>> {
    const { bucket, make, known, learned } = this.#options
    const entry = await bucket.find(bucketKey(id))
    const remembered = known?.(id)
    if (entry !== undefined && 'refused' in entry) {
      // Not written by any of us: the next change replaces it, with what is known of the record from before.
      return { record: remembered?.record ?? make(id), revision: entry.revision }
    }
    if (entry !== undefined) learned?.(id, entry.value, entry.revision)
    // A read may be answered by a server that is behind.
    if (remembered !== undefined && remembered.revision > (entry?.revision ?? 0)) return remembered
    return entry === undefined
      ? { record: make(id), revision: 0 }
      : { record: entry.value, revision: entry.revision }
  }

  /**
   * Decides on the record as it stands and writes the answer, as often as it takes: `decide` answers undefined where
   * nothing is to be done. Also where a write's outcome stays unknown, the record is read again and decided on anew.
   * @throws {BusUnavailable}, and the last error after {@link TRY_MS}
   */
  async change(id: string, decide: (record: R, revision: number) => R | undefined): Promise<Changed<R>> {
    const { bucket, known, learned } = this.#options
    const key = bucketKey(id)
    const deadline = performance.now() + TRY_MS
    const remembered = known?.(id)
    let fresh = remembered === undefined
    let stored = remembered ?? (await this.read(id))
    for (let tries = 1; ; tries++) {
      // Taken now: what is known without asking changes with what is learned.
      const { record: before, revision: last } = stored
      const next = decide(before, last)
      if (next === undefined) {
        if (fresh) return { record: before, revision: last, before, changed: false }
      } else {
        try {
          const revision = last === 0 ? await bucket.create(key, next) : await bucket.update(key, next, last)
          learned?.(id, next, revision)
          return { record: next, revision, before, changed: true }
        } catch (error) {
          if (error instanceof BusUnavailable || performance.now() > deadline) throw error
          if (!(error instanceof RevisionMismatch) || tries > 1) await sleep(RETRY_MS * Math.random() * tries)
        }
      }
      stored = await this.read(id)
      fresh = true
    }
  }
}
