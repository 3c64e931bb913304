import { context, propagation, trace } from '@opentelemetry/api'
import { CountingExporter, type SpanCounts } from './exporter.ts'
import { createSampler, type SamplerName } from './sampler.ts'
import { useTracer } from './spans.ts'

/** From the standard variables OTEL_…; headers, certificates and timeouts the exporter reads itself. */
export interface TracingConfig {
  /** Where spans are posted, in full: `http://collector:4318/v1/traces`. */
  readonly url: string
  readonly protocol: 'http/json' | 'http/protobuf'
  readonly sampler: SamplerName
  readonly samplerRatio: number
  /** Spans that wait to be exported; more are dropped. */
  readonly queueMax: number
  readonly batchMax: number
  readonly scheduleDelayMs: number
  readonly exportTimeoutMs: number
}

export interface TracingOptions {
  readonly config: TracingConfig
  readonly service: string
  readonly instanceId: string
  readonly exportFailed: (reason: string) => void
}

export interface Tracing {
  readonly counts: Readonly<SpanCounts>
  /** Makes no more spans, and exports what waits for at most so long. Never throws. */
  stop(timeoutMs: number): Promise<void>
}

/** One for each process: OpenTelemetry's API is global. */
let running = false

/**
 * Loads OpenTelemetry and exports spans from now on. Where the process does so already, for another service in it,
 * undefined is answered.
 */
export async function startTracing(options: TracingOptions): Promise<Tracing | undefined> {
  if (running) return undefined
  running = true
  const { config, service, instanceId, exportFailed } = options
  const [sdk, resources, core, { AsyncLocalStorageContextManager }, { OTLPTraceExporter }] =
    await Promise.all([
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/core'),
      import('@opentelemetry/context-async-hooks'),
      config.protocol === 'http/json'
        ? import('@opentelemetry/exporter-trace-otlp-http')
        : import('@opentelemetry/exporter-trace-otlp-proto'),
    ])
  const counts: SpanCounts = { ended: 0, exported: 0, failed: 0 }
  const exporter = new CountingExporter(new OTLPTraceExporter({ url: config.url }), counts, exportFailed)
  const provider = new sdk.TracerProvider({
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
    resource: resources
      .resourceFromAttributes({ 'service.name': service, 'service.instance.id': instanceId })
      .merge(resources.detectResources({ detectors: [resources.envDetector] })),
    sampler: createSampler(sdk, config.sampler, config.samplerRatio),
    spanProcessors: [
      {
        onStart() {},
        onEnd() {
          counts.ended += 1
        },
        forceFlush: async () => {},
        shutdown: async () => {},
      },
      new sdk.BatchSpanProcessor({
        exporter,
        maxQueueSize: config.queueMax,
        maxExportBatchSize: Math.min(config.batchMax, config.queueMax),
        scheduledDelayMillis: config.scheduleDelayMs,
        exportTimeoutMillis: config.exportTimeoutMs,
      }),
    ],
  })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new core.W3CTraceContextPropagator())
  useTracer(provider.getTracer('carillon'))
  return {
    counts,
    async stop(timeoutMs) {
      useTracer(undefined)
      const limit = new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref())
      await Promise.race([provider.shutdown().catch(() => {}), limit])
      trace.disable()
      context.disable()
      propagation.disable()
      running = false
    },
  }
}
