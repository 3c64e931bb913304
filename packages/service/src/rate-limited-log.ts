import type { BusLog } from '@carillon/bus'

/** So many lines of one message at once, and then so many a second. */
const BURST = 20
const PER_SECOND = 2

interface Budget {
  tokens: number
  atMs: number
  suppressed: number
}

/**
 * Bounds how often each message is logged: what others cause by publishing must not fill a disk. The messages
 * are those that stand in the code, not the fields, so there are few. The first line after a pause says how many
 * were left out.
 */
export class RateLimitedLog implements BusLog {
  readonly #log: BusLog
  readonly #nowMs: () => number
  readonly #budgets = new Map<string, Budget>()
  #suppressed = 0

  /** @param nowMs monotonic time */
  constructor(log: BusLog, nowMs: () => number) {
    this.#log = log
    this.#nowMs = nowMs
  }

  /** Lines that were left out so far. */
  get suppressed(): number {
    return this.#suppressed
  }

  info(fields: object, message: string): void {
    this.#write('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message)
  }

  #write(level: keyof BusLog, fields: object, message: string): void {
    const now = this.#nowMs()
    const budget = this.#budgets.get(message) ?? { tokens: BURST, atMs: now, suppressed: 0 }
    this.#budgets.set(message, budget)
    budget.tokens = Math.min(BURST, budget.tokens + ((now - budget.atMs) / 1_000) * PER_SECOND)
    budget.atMs = now
    if (budget.tokens < 1) {
      budget.suppressed += 1
      this.#suppressed += 1
      return
    }
    budget.tokens -= 1
    const { suppressed } = budget
    budget.suppressed = 0
    this.#log[level](suppressed > 0 ? { ...fields, suppressed } : fields, message)
  }
}
