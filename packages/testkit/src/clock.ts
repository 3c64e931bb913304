/** A clock that stands until it is moved, beginning at the real time. */
export class ManualClock {
  #now = Date.now()

  now(): number {
    return this.#now
  }

  move(ms: number): void {
    this.#now += ms
  }
}
