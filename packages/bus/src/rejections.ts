import type { BusLog } from './connection.ts'

export interface RejectedPayload {
  readonly subject: string
  readonly reason: string
}

/** A publisher may put anything into a payload, and the reason quotes it. */
const REASON_LENGTH_MAX = 200
const SUBJECT_LENGTH_MAX = 500
const LOGGED_PER_SECOND_MAX = 10

/** Payloads that were refused: told to the log at a bounded rate, and to whoever counts them. */
export class Rejections {
  readonly #log: BusLog
  readonly #listeners = new Set<(rejected: RejectedPayload) => void>()
  #windowEndsMs = 0
  #logged = 0
  #suppressed = 0

  constructor(log: BusLog) {
    this.#log = log
  }

  onRejected(listener: (rejected: RejectedPayload) => void): void {
    this.#listeners.add(listener)
  }

  /** Answers the reason, cut to what may be quoted. */
  add(subject: string, reason: string): string {
    const rejected = {
      subject: subject.slice(0, SUBJECT_LENGTH_MAX),
      reason: reason.slice(0, REASON_LENGTH_MAX),
    }
    this.#tell(rejected)
    for (const listener of this.#listeners) listener(rejected)
    return rejected.reason
  }

  #tell(rejected: RejectedPayload): void {
    const now = performance.now()
    if (now >= this.#windowEndsMs) {
      this.#windowEndsMs = now + 1_000
      this.#logged = 0
    }
    if (this.#logged >= LOGGED_PER_SECOND_MAX) {
      this.#suppressed += 1
      return
    }
    this.#logged += 1
    const suppressed = this.#suppressed
    this.#suppressed = 0
    this.#log.warn({ ...rejected, ...(suppressed > 0 && { suppressed }) }, 'a payload was refused')
  }
}
