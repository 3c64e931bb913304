import type { BusLog } from './connection.ts'

export interface RejectedPayload {
  readonly subject: string
  readonly reason: string
}

/** A publisher may put anything into a payload, and the reason quotes it. */
const REASON_LENGTH_MAX = 200
const SUBJECT_LENGTH_MAX = 500

/** Payloads that were refused: told to the log, which bounds how often, and to whoever counts them. */
export class Rejections {
  readonly #log: BusLog
  readonly #listeners = new Set<(rejected: RejectedPayload) => void>()

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
    this.#log.warn(rejected, 'a payload was refused')
    for (const listener of this.#listeners) listener(rejected)
    return rejected.reason
  }
}
