import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'

/** What has become of the spans so far. Those that are neither wait, or were dropped by a full queue. */
export interface SpanCounts {
  ended: number
  exported: number
  /** The collector did not take them. */
  failed: number
}

/** An exporter that counts, and says so when the collector does not take what it is sent. */
export class CountingExporter implements SpanExporter {
  readonly #exporter: SpanExporter
  readonly #counts: SpanCounts
  readonly #failed: (reason: string) => void

  constructor(exporter: SpanExporter, counts: SpanCounts, failed: (reason: string) => void) {
    this.#exporter = exporter
    this.#counts = counts
    this.#failed = failed
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#exporter.export(spans, (result) => {
      // 0 is success.
      if (result.code === 0) this.#counts.exported += spans.length
      else {
        this.#counts.failed += spans.length
        this.#failed(result.error?.message ?? 'no reason given')
      }
      done(result)
    })
  }

  forceFlush(): Promise<void> {
    return this.#exporter.forceFlush?.() ?? Promise.resolve()
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown()
  }
}
