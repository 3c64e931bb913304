import { type Clock, Deadline, type TimingWheel } from '@carillon/service'

const TICK_MS = 250
/** A process that did not run for so long has perhaps not read what clients have sent. */
const STALL_MS = 2_000

/** What waits to be read after that is read in much less. */
const CATCH_UP_MS = 500

/** Tells when this process stood still: silence of others means nothing then. */
export class StallDetector {
  readonly #clock: Clock
  #tickAtMs: number
  #resumedAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#tickAtMs = clock.monotonic()
  }

  start(): void {
    this.#tickAtMs = this.#clock.monotonic()
    this.#timer = setInterval(() => void this.resumedAtMs, TICK_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** When the process last began to run again after it had stood still. */
  get resumedAtMs(): number {
    const now = this.#clock.monotonic()
    if (this.#timer !== undefined && now - this.#tickAtMs > STALL_MS) this.#resumedAtMs = now
    this.#tickAtMs = now
    return this.#resumedAtMs
  }

  /**
   * Resolves at once, but shortly after a stall a moment later: clients that connected meanwhile have perhaps given
   * up, and gone elsewhere, and that is still to be read.
   */
  async caughtUp(): Promise<void> {
    if (this.#clock.monotonic() - this.resumedAtMs < STALL_MS)
      await new Promise((resolve) => setTimeout(resolve, CATCH_UP_MS).unref())
  }
}

/** One client's heartbeat: `silent` is called when nothing came for the timeout. */
export class Heartbeat {
  readonly #wheel: TimingWheel
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #deadline: Deadline
  #atMs: number

  constructor(wheel: TimingWheel, clock: Clock, stall: StallDetector, timeoutMs: number, silent: () => void) {
    this.#wheel = wheel
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#atMs = clock.monotonic()
    this.#deadline = new Deadline({
      due: () => {
        const leftMs = Math.max(this.#atMs, stall.resumedAtMs) + timeoutMs - clock.monotonic()
        if (leftMs <= 0) silent()
        else wheel.set(this.#deadline, leftMs)
      },
    })
    wheel.set(this.#deadline, timeoutMs)
  }

  beat(): void {
    // The deadline finds out by itself: nothing is moved for each ping.
    this.#atMs = this.#clock.monotonic()
    if (!this.#deadline.linked) this.#wheel.set(this.#deadline, this.#timeoutMs)
  }

  stop(): void {
    this.#wheel.clear(this.#deadline)
  }
}
