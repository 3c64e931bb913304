import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Stats } from '@carillon/events'
import type { Clock } from './clock.ts'
import type { Metrics } from './metrics.ts'

export interface StatsReporterOptions {
  readonly metrics: Metrics
  readonly clock: Pick<Clock, 'monotonic'>
}

/** An answer must fit into a message, with room for what else stands in it. */
const SAMPLES_BYTES_MAX = 300_000
const LAG_RESOLUTION_MS = 10
/** A window of the event loop's delays: about as long as the time between two questions. */
const LAG_WINDOW_MS = 900
/** Nobody has asked for so long: nothing is measured for them any more. */
const LAG_IDLE_MS = 15_000

type Numbers = Pick<Stats, 'samples' | 'samples_omitted' | 'event_loop_lag_p99_ms' | 'event_loop_lag_max_ms'>

/**
 * An instance's numbers for operators, out of the same registry that `/metrics` prints. Between questions nothing
 * runs. The delays of the event loop are measured apart: reading those of the registry would empty them for whoever
 * scrapes it.
 */
export class StatsReporter {
  readonly #metrics: Metrics
  readonly #lag: LagWindow

  constructor({ metrics, clock }: StatsReporterOptions) {
    this.#metrics = metrics
    this.#lag = new LagWindow(clock)
  }

  async read(): Promise<Numbers> {
    const { samples, omitted } = await this.#metrics.samples(SAMPLES_BYTES_MAX)
    return { samples, ...(omitted > 0 && { samples_omitted: omitted }), ...this.#lag.read() }
  }

  stop(): void {
    this.#lag.stop()
  }
}

/** Delays of the event loop, measured while somebody asks for them. Several who ask share the windows. */
class LagWindow {
  readonly #clock: Pick<Clock, 'monotonic'>
  #histogram: ReturnType<typeof monitorEventLoopDelay> | undefined
  #idle: NodeJS.Timeout | undefined
  #sinceMs = 0
  #last = { event_loop_lag_p99_ms: 0, event_loop_lag_max_ms: 0 }

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  read() {
    const now = this.#clock.monotonic()
    this.#idle?.refresh()
    if (this.#histogram === undefined) {
      this.#histogram = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
      this.#histogram.enable()
      this.#idle = setTimeout(() => this.stop(), LAG_IDLE_MS).unref()
      this.#sinceMs = now
    } else if (now - this.#sinceMs >= LAG_WINDOW_MS) {
      this.#last = {
        event_loop_lag_p99_ms: delayMs(this.#histogram.percentile(99)),
        event_loop_lag_max_ms: delayMs(this.#histogram.max),
      }
      this.#histogram.reset()
      this.#sinceMs = now
    }
    return this.#last
  }

  stop(): void {
    this.#histogram?.disable()
    this.#histogram = undefined
    clearTimeout(this.#idle)
    this.#last = { event_loop_lag_p99_ms: 0, event_loop_lag_max_ms: 0 }
  }
}

/** The histogram holds how long its timer took, which is its resolution where nothing delays it. */
function delayMs(nanoseconds: number): number {
  const ms = nanoseconds / 1e6 - LAG_RESOLUTION_MS
  return Number.isFinite(ms) && ms > 0 ? Math.round(ms * 100) / 100 : 0
}
