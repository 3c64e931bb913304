import type { Gateway } from '../gateway.ts'
import type { UserShare } from '../user-share.ts'

/**
 * The message that a client is in the middle of sending: its bytes wait in memory for the rest. Bounded in bytes
 * for each connection (by the largest frame), for each user and in total, and in time.
 */
export class UnfinishedMessage {
  readonly #gateway: Pick<Gateway, 'limits' | 'unfinished' | 'clock'>
  readonly #share: UserShare | undefined
  #bytes = 0
  #sinceMs = 0

  constructor(gateway: Pick<Gateway, 'limits' | 'unfinished' | 'clock'>, share: UserShare | undefined) {
    this.#gateway = gateway
    this.#share = share
  }

  /** Milliseconds until it has taken too long; infinite while there is none. */
  get dueInMs(): number {
    if (this.#bytes === 0) return Number.POSITIVE_INFINITY
    const { limits, clock } = this.#gateway
    return this.#sinceMs + limits.unfinishedMessageMs - clock.monotonic()
  }

  /** So many bytes are held now; answers whether that is more than may be. */
  hold(bytes: number): boolean {
    const { limits, unfinished, clock } = this.#gateway
    if (this.#bytes === 0) this.#sinceMs = clock.monotonic()
    const more = bytes - this.#bytes
    this.#bytes = bytes
    unfinished.bytes += more
    if (this.#share) this.#share.unfinishedBytes += more
    if (more <= 0) return false
    return (
      unfinished.bytes > limits.unfinishedBytesMax ||
      (this.#share?.unfinishedBytes ?? 0) > limits.unfinishedBytesPerUserMax
    )
  }

  /** A message is complete: what is held now belongs to another one. */
  restart(): void {
    this.#sinceMs = this.#gateway.clock.monotonic()
  }
}
