/** Items that nobody holds any more, and that end some time later unless somebody takes them again. */
export class DelayedRelease<T> {
  readonly #lingerMs: number
  readonly #end: (item: T) => void
  /** With the monotonic time of their end, in its order. */
  readonly #endsAtMs = new Map<T, number>()
  #sweep: NodeJS.Timeout | undefined

  constructor(lingerMs: number, end: (item: T) => void) {
    this.#lingerMs = lingerMs
    this.#end = end
  }

  add(item: T): void {
    this.#endsAtMs.delete(item)
    this.#endsAtMs.set(item, performance.now() + this.#lingerMs)
    this.#schedule()
  }

  delete(item: T): void {
    this.#endsAtMs.delete(item)
  }

  stop(): void {
    clearTimeout(this.#sweep)
    this.#endsAtMs.clear()
  }

  #schedule(): void {
    if (this.#sweep !== undefined) return
    this.#sweep = setTimeout(() => {
      this.#sweep = undefined
      const now = performance.now()
      for (const [item, endsAtMs] of this.#endsAtMs) {
        if (endsAtMs > now) break
        this.#endsAtMs.delete(item)
        this.#end(item)
      }
      if (this.#endsAtMs.size > 0) this.#schedule()
    }, this.#lingerMs)
    this.#sweep.unref()
  }
}
