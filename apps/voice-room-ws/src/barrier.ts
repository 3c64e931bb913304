import { randomBytes } from 'node:crypto'
import type { Bucket } from '@carillon/bus'
import { bucketKey, type VoiceUserRecord } from '@carillon/events'
import { newUser } from './user.ts'

const TIMEOUT_MS = 2_000

/**
 * Brings the copy of the bucket up to date: a mark is written, and when the watch has seen it, it has seen everything
 * that was written before. Those who wait at the same time share a mark.
 */
export class Barrier {
  readonly #bucket: Bucket<VoiceUserRecord>
  /** Of two tokens, where a user's key has one: it never meets a user. */
  readonly #key = bucketKey('barrier', randomBytes(8).toString('hex'))
  readonly #waiting = new Set<{ readonly revision: number; readonly passed: () => void }>()
  #seen = 0
  #next: Promise<void> | undefined

  constructor(bucket: Bucket<VoiceUserRecord>) {
    this.#bucket = bucket
  }

  /** The watch has come so far. */
  seen(revision: number): void {
    if (revision > this.#seen) this.#seen = revision
    for (const waiting of this.#waiting) {
      if (waiting.revision > this.#seen) continue
      this.#waiting.delete(waiting)
      waiting.passed()
    }
  }

  /** Resolves when the copy is up to date; after a while it resolves anyhow. @throws {BusUnavailable} */
  pass(): Promise<void> {
    if (this.#next === undefined) {
      const next = this.#pass().finally(() => {
        if (this.#next === next) this.#next = undefined
      })
      this.#next = next
    }
    return this.#next
  }

  async #pass(): Promise<void> {
    // Whoever comes while the mark is on its way must not share it: it may be written before theirs.
    await Promise.resolve()
    this.#next = undefined
    const revision = await this.#bucket.put(this.#key, newUser('barrier'))
    if (revision <= this.#seen) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, TIMEOUT_MS)
      const waiting = { revision, passed: done }
      const set = this.#waiting
      function done() {
        clearTimeout(timer)
        set.delete(waiting)
        resolve()
      }
      set.add(waiting)
    })
  }
}
