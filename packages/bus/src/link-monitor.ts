import type { NatsConnection } from '@nats-io/transport-node'

/** How often the server is asked for a sign of life. */
const INTERVAL_MS = 1_500
/** After so many questions in a row without one, the link is dead: 7.5 s after its last sign of life at most. */
const MISSES_MAX = 4

/**
 * Notices a link that has fallen silent without closing: a cable pulled, a host gone, a server that hangs. Whatever
 * arrives is a sign of life, so that an answer that waits behind a long queue of messages is no death. Silence is
 * counted in questions, not in time: a process that was suspended itself has asked just once meanwhile.
 */
export class LinkMonitor {
  readonly #nats: NatsConnection
  readonly #onSilent: () => void
  readonly #timer: NodeJS.Timeout
  #messages = 0
  #misses = 0
  #asking = false

  constructor(nats: NatsConnection, onSilent: () => void) {
    this.#nats = nats
    this.#onSilent = onSilent
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    const { inMsgs } = this.#nats.stats()
    const received = inMsgs !== this.#messages
    this.#messages = inMsgs
    this.#misses = this.#asking && !received ? this.#misses + 1 : 0
    if (this.#misses >= MISSES_MAX) {
      this.stop()
      this.#onSilent()
    } else if (!this.#asking) this.#ask()
  }

  #ask(): void {
    this.#asking = true
    const answered = () => {
      this.#asking = false
    }
    this.#nats.flush().then(answered, answered)
  }
}
