export interface WorkerOptions {
  readonly name: string
  /** One piece of work; answers whether there may be more at once. */
  readonly run: () => Promise<boolean>
  /** How often to look without being woken; 0 for never. */
  readonly intervalMs: number
  readonly log: { warn(fields: object, message: string): void }
}

/** After a failure it waits this long, however often it is woken. */
const RETRY_MS = 500

/** Work in the background, one piece at a time: when woken, every so often, and again after a failure. */
export class Worker {
  readonly #options: WorkerOptions
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #woken = false
  #failing = false
  #started = false
  #lastReason = ''

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  start(): void {
    this.#started = true
    this.wake()
  }

  /** There is something to do. */
  wake(): void {
    this.#woken = true
    if (this.#started && !this.#failing) this.#running ??= this.#run()
  }

  /** Finishes what is under way; does nothing from then on. */
  async stop(): Promise<void> {
    this.#started = false
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    // What wakes us within one turn of the event loop is done in one go.
    await new Promise((resolve) => setImmediate(resolve))
    try {
      while (this.#started && this.#woken) {
        this.#woken = false
        if (await this.#options.run()) this.#woken = true
      }
      this.#lastReason = ''
      this.#rest(this.#options.intervalMs)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (reason !== this.#lastReason) {
        this.#options.log.warn({ worker: this.#options.name, reason }, 'background work failed, trying on')
      }
      this.#lastReason = reason
      this.#failing = true
      this.#rest(RETRY_MS)
    }
    this.#running = undefined
    // Woken between the last look and here.
    if (this.#started && this.#woken && !this.#failing) this.#running = this.#run()
  }

  #rest(ms: number): void {
    clearTimeout(this.#timer)
    if (ms === 0 || !this.#started) return
    this.#timer = setTimeout(() => {
      this.#failing = false
      this.wake()
    }, ms)
    this.#timer.unref()
  }
}

/**
 * Names of what has to be worked on, each once, in the order in which they came. What failed is put back.
 */
export class Backlog {
  readonly #keys = new Set<string>()

  get size(): number {
    return this.#keys.size
  }

  add(keys: Iterable<string>): void {
    for (const key of keys) this.#keys.add(key)
  }

  /** Takes the first ones out, and puts them back if the work fails or leaves something over. */
  async work(count: number, run: (keys: readonly string[]) => Promise<boolean>): Promise<boolean> {
    const taken: string[] = []
    for (const key of this.#keys) {
      if (taken.length === count) break
      taken.push(key)
    }
    if (taken.length === 0) return false
    for (const key of taken) this.#keys.delete(key)
    let more = true
    try {
      more = await run(taken)
    } finally {
      if (more) this.add(taken)
    }
    return this.#keys.size > 0
  }
}
