/** A clock that stands still until it is moved, beginning at the real time. */
export class ManualClock {
  #now = Date.now()
  #monotonic = 0

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#monotonic
  }

  /** Lets time pass. */
  move(ms: number): void {
    this.#now += ms
    this.#monotonic += ms
  }

  /** Sets the wall clock, as an operator or NTP does: no time passes. */
  setWallClock(byMs: number): void {
    this.#now += byMs
  }
}
