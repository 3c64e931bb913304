import type { Bus } from '@carillon/bus'
import { type VoiceReport, voice } from '@carillon/events'
import type { Clock } from '@carillon/service'

/** A frame's worth each, for as long as a broker takes to restart. */
export const reportLimits = { waitingMax: 20_000, waitMs: 60_000 }

/** Those who listen to reports have to come back to NATS too. */
const SUBSCRIBERS_RETURN_MS = 2_000

export interface ReportsOptions {
  readonly bus: Bus
  readonly clock: Clock
  /** How many may wait for NATS, and for how long. */
  readonly waitingMax: number
  readonly waitMs: number
  /** So many could not be published. */
  readonly dropped: (count: number) => void
}

/** What members report, on its way to internal services. While NATS is away it waits, within bounds. */
export class Reports {
  readonly #options: ReportsOptions
  #waiting: { readonly report: VoiceReport; readonly sinceMs: number }[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(options: ReportsOptions) {
    this.#options = options
    options.bus.onChange((connected) => {
      clearTimeout(this.#timer)
      if (connected) this.#timer = setTimeout(() => this.#publishWaiting(), SUBSCRIBERS_RETURN_MS).unref()
    })
  }

  get waiting(): number {
    return this.#waiting.length
  }

  publish(report: VoiceReport): void {
    const { bus, clock, waitingMax, dropped } = this.#options
    // In the order in which they came.
    const direct = bus.connected && this.#waiting.length === 0
    if (direct) return bus.publish(voice.report, { action: report.action }, report)
    if (this.#waiting.length >= waitingMax) return dropped(1)
    this.#waiting.push({ report, sinceMs: clock.monotonic() })
  }

  #publishWaiting(): void {
    const { bus, clock, waitMs, dropped } = this.#options
    const nowMs = clock.monotonic()
    const inTime = this.#waiting.filter(({ sinceMs }) => nowMs - sinceMs <= waitMs)
    if (inTime.length < this.#waiting.length) dropped(this.#waiting.length - inTime.length)
    this.#waiting = []
    for (const { report } of inTime) bus.publish(voice.report, { action: report.action }, report)
  }
}
