import { type SamplerName, samplerNames, type TracingConfig } from '@carillon/tracing'
import { Type } from 'typebox'
import { env } from './environment.ts'

const isRatio = (text: string) => /^(0(\.\d+)?|1(\.0+)?)$/.test(text)

/** OpenTelemetry's own names. */
export const tracingVariables = {
  OTEL_SDK_DISABLED: env.boolean(false, '`true` makes no spans, see [Tracing](#tracing)'),
  OTEL_TRACES_EXPORTER: env.oneOf(['otlp', 'none'], 'otlp', '`none` makes no spans'),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    env.url('https?', undefined, 'the collector: spans are posted to `/v1/traces` below it; unset: no spans'),
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Type.Optional(
    env.url('https?', undefined, 'the same in full, with the path'),
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: env.oneOf(
    ['http/protobuf', 'http/json'],
    'http/protobuf',
    'how spans are encoded',
  ),
  OTEL_TRACES_SAMPLER: env.oneOf(
    samplerNames,
    'parentbased_always_on',
    'which traces are recorded, see [Tracing](#tracing)',
  ),
  OTEL_TRACES_SAMPLER_ARG: env.checked(
    isRatio,
    'a number from 0 to 1',
    '1',
    'the share that `traceidratio` and `parentbased_traceidratio` record',
  ),
  OTEL_BSP_MAX_QUEUE_SIZE: env.integer(1, 1_000_000, 2_048, 'spans that may wait; more are dropped'),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: env.integer(1, 1_000_000, 512, 'spans exported at once'),
  OTEL_BSP_SCHEDULE_DELAY: env.integer(1, 3_600_000, 5_000, 'milliseconds between two exports'),
  OTEL_BSP_EXPORT_TIMEOUT: env.integer(1, 3_600_000, 30_000, 'milliseconds that an export may take'),
}

export interface TracingValues {
  readonly OTEL_SDK_DISABLED: boolean
  readonly OTEL_TRACES_EXPORTER: 'otlp' | 'none'
  readonly OTEL_EXPORTER_OTLP_ENDPOINT?: string
  readonly OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string
  readonly OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' | 'http/json'
  readonly OTEL_TRACES_SAMPLER: SamplerName
  readonly OTEL_TRACES_SAMPLER_ARG: string
  readonly OTEL_BSP_MAX_QUEUE_SIZE: number
  readonly OTEL_BSP_MAX_EXPORT_BATCH_SIZE: number
  readonly OTEL_BSP_SCHEDULE_DELAY: number
  readonly OTEL_BSP_EXPORT_TIMEOUT: number
}

/** How spans are exported; undefined where no collector is named, or none shall be used. */
export function tracingConfig(values: TracingValues): TracingConfig | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces } = values
  const url = traces ?? (base && `${base.replace(/\/$/, '')}/v1/traces`)
  if (values.OTEL_SDK_DISABLED || values.OTEL_TRACES_EXPORTER === 'none' || url === undefined)
    return undefined
  return {
    url,
    protocol: values.OTEL_EXPORTER_OTLP_PROTOCOL,
    sampler: values.OTEL_TRACES_SAMPLER,
    samplerRatio: Number(values.OTEL_TRACES_SAMPLER_ARG),
    queueMax: values.OTEL_BSP_MAX_QUEUE_SIZE,
    batchMax: values.OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    scheduleDelayMs: values.OTEL_BSP_SCHEDULE_DELAY,
    exportTimeoutMs: values.OTEL_BSP_EXPORT_TIMEOUT,
  }
}
