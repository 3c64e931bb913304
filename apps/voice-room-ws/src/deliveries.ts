import type { VoiceAction } from '@carillon/events'
import type { AttemptRef } from './relays.ts'

interface Delivery {
  readonly attempt: AttemptRef
  readonly action: VoiceAction
  /** Whom a report must name; undefined for anybody. */
  readonly about: string | undefined
}

/** Notices that one client may have to report; what it never reports is forgotten, the oldest first. */
const DELIVERIES_MAX = 256

/** The notices that one connection was given and has not reported yet, in order. */
export class Deliveries {
  #pending: Delivery[] = []

  get size(): number {
    return this.#pending.length
  }

  add(delivery: Delivery): void {
    this.#pending.push(delivery)
    if (this.#pending.length > DELIVERIES_MAX) this.#pending.shift()
  }

  /** The attempt that a report confirms: the oldest of that action about that user. */
  reported(action: VoiceAction, userId: string): AttemptRef | undefined {
    const at = this.#pending.findIndex(
      (each) => each.action === action && (each.about === undefined || each.about === userId),
    )
    return at < 0 ? undefined : this.#pending.splice(at, 1)[0]?.attempt
  }

  /** Ends all; answers the attempts that can never be confirmed now. */
  end(): AttemptRef[] {
    const attempts = this.#pending.map(({ attempt }) => attempt)
    this.#pending = []
    return attempts
  }
}
