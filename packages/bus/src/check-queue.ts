const PARALLEL = 64
const RETRY_MIN_MS = 250
const RETRY_MAX_MS = 4_000

/**
 * Suspended until it is resumed. Work that is done for each item once, with a bounded number at a time, and tried again until it succeeds. A
 * failure pauses the whole queue, longer each time: what fails is the server, not the item. Items that are urgent
 * come first.
 */
export class CheckQueue<T extends object> {
  readonly #check: (item: T) => Promise<void>
  readonly #failed: (item: T, error: unknown) => void
  readonly #urgent = new Set<T>()
  readonly #waiting = new Set<T>()
  readonly #active = new Set<T>()
  #retryMs = RETRY_MIN_MS
  #pause: NodeJS.Timeout | undefined
  #suspended = true
  #stopped = false

  constructor(check: (item: T) => Promise<void>, failed: (item: T, error: unknown) => void) {
    this.#check = check
    this.#failed = failed
  }

  add(item: T, options: { readonly urgent?: boolean } = {}): void {
    if (options.urgent) {
      this.#waiting.delete(item)
      this.#urgent.add(item)
    } else if (!this.#urgent.has(item)) this.#waiting.add(item)
    this.#pump()
  }

  delete(item: T): void {
    this.#urgent.delete(item)
    this.#waiting.delete(item)
  }

  /** Whether what is added now will have to wait for more than its turn. */
  get paused(): boolean {
    return this.#suspended || this.#pause !== undefined
  }

  /** Begins nothing until {@link resume}. */
  suspend(): void {
    this.#suspended = true
  }

  /** Goes on at once, also where a failure had paused it. */
  resume(): void {
    this.#suspended = false
    clearTimeout(this.#pause)
    this.#pause = undefined
    this.#retryMs = RETRY_MIN_MS
    this.#pump()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#pause)
    this.#urgent.clear()
    this.#waiting.clear()
  }

  #pump(): void {
    while (!this.#stopped && !this.paused && this.#active.size < PARALLEL) {
      const urgent = take(this.#urgent, this.#active)
      const item = urgent ?? take(this.#waiting, this.#active)
      if (item === undefined) return
      this.#active.add(item)
      void this.#run(item, urgent !== undefined)
    }
  }

  async #run(item: T, urgent: boolean): Promise<void> {
    try {
      await this.#check(item)
      this.#retryMs = RETRY_MIN_MS
    } catch (error) {
      if (!this.#stopped) {
        if (!this.#suspended) this.#failed(item, error)
        ;(urgent ? this.#urgent : this.#waiting).add(item)
        this.#pauseChecks()
      }
    }
    this.#active.delete(item)
    this.#pump()
  }

  #pauseChecks(): void {
    if (this.paused) return
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.#pump()
    }, this.#retryMs)
    this.#pause.unref()
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2)
  }
}

/** The first item that is not being checked right now: one that was added meanwhile is checked again. */
function take<T>(queue: Set<T>, active: ReadonlySet<T>): T | undefined {
  for (const item of queue) {
    if (active.has(item)) continue
    queue.delete(item)
    return item
  }
  return undefined
}
