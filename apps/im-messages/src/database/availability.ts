const PROBE_INTERVAL_MS = 500

/**
 * Whether the database can be used. It counts as away until `prepare` has succeeded once, and from each lost
 * connection until `prepare` succeeds again: another database may stand behind the address by then.
 */
export class Availability {
  readonly #prepare: () => Promise<void>
  readonly #log: { warn(fields: object, message: string): void }
  readonly #listeners = new Set<() => void>()
  #reason: string | undefined = 'not opened yet'
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(prepare: () => Promise<void>, log: { warn(fields: object, message: string): void }) {
    this.#prepare = prepare
    this.#log = log
  }

  get available(): boolean {
    return this.#reason === undefined
  }

  /** Why it is not available. */
  get reason(): string {
    return this.#reason ?? ''
  }

  /** Calls back each time when the database becomes available. */
  onAvailable(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /** Tries once, and goes on trying in the background where that fails. */
  async start(): Promise<void> {
    await this.#probe()
  }

  lost(reason: string): void {
    if (this.#reason !== undefined || this.#stopped) return
    this.#reason = reason
    this.#log.warn({ reason }, 'the database is away')
    // At once: it may be this connection alone that was lost.
    this.#again(0)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #again(afterMs = PROBE_INTERVAL_MS): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => void this.#probe(), afterMs)
    this.#timer.unref()
  }

  async #probe(): Promise<void> {
    try {
      await this.#prepare()
    } catch (error) {
      const reason = error instanceof Error ? error.message || String(error) : String(error)
      if (reason !== this.#reason) this.#log.warn({ reason }, 'the database cannot be used, trying on')
      this.#reason = reason
      return this.#again()
    }
    if (this.#stopped) return
    this.#reason = undefined
    for (const listener of this.#listeners) listener()
  }
}
