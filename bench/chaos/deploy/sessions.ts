import { performance } from 'node:perf_hooks'

/** When clients of one protocol came and went. */
export class Sessions {
  readonly #opened: number[] = []
  readonly #closedAt = new Map<string, number>()
  readonly #closeCodes = new Map<number | string, number>()
  readonly #lost: string[] = []
  #awayMs: number[] = []

  get connected(): number {
    return this.#opened.length - [...this.#closeCodes.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Clients that were told not to come back. */
  get lost(): readonly string[] {
    return this.#lost
  }

  get closeCodes(): ReadonlyMap<number | string, number> {
    return this.#closeCodes
  }

  opened(client: string): void {
    const nowMs = performance.now()
    this.#opened.push(nowMs)
    const since = this.#closedAt.get(client)
    if (since !== undefined) this.#awayMs.push(nowMs - since)
    this.#closedAt.delete(client)
  }

  /** `final`: its protocol says that the client does not reconnect after this code. */
  closed(client: string, code: number | string, final = false): void {
    this.#closeCodes.set(code, (this.#closeCodes.get(code) ?? 0) + 1)
    this.#closedAt.set(client, performance.now())
    if (final) this.#lost.push(`${client} was closed with ${code}`)
  }

  /** A connection ended before it had been opened, with a code after which the client does not come back. */
  refused(client: string, code: number | string): void {
    this.#lost.push(`${client} was closed with ${code}`)
  }

  /** What the rollouts cost since then: how many came back, and most in one second. */
  since(sinceMs: number): { readonly reconnects: number; readonly peakPerSecond: number } {
    const times = this.#opened.filter((atMs) => atMs >= sinceMs)
    let peakPerSecond = 0
    let from = 0
    for (const [to, atMs] of times.entries()) {
      while ((times[from] as number) <= atMs - 1_000) from += 1
      peakPerSecond = Math.max(peakPerSecond, to - from + 1)
    }
    return { reconnects: times.length, peakPerSecond }
  }

  /** How long clients were away, in milliseconds: median and longest. */
  get awayMs(): { readonly median: number; readonly longest: number } {
    const sorted = [...this.#awayMs].sort((a, b) => a - b)
    return { median: sorted[sorted.length >> 1] ?? 0, longest: sorted.at(-1) ?? 0 }
  }
}
