/** So many frames a second over a burst: a client that stays below the server's limit is never refused. */
export class Pace {
  readonly #perMs: number
  readonly #burst: number
  #left: number
  #atMs = 0

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1_000
    this.#burst = burst
    this.#left = burst
  }

  /** Takes one where it is there and answers 0; else answers the milliseconds until it will be. */
  take(nowMs: number): number {
    this.#left = Math.min(this.#burst, this.#left + (nowMs - this.#atMs) * this.#perMs)
    this.#atMs = nowMs
    if (this.#left >= 1) {
      this.#left -= 1
      return 0
    }
    return Math.ceil((1 - this.#left) / this.#perMs)
  }
}
