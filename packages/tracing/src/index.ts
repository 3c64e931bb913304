export { type SamplerName, samplerNames } from './sampler.ts'
export {
  currentTrace,
  type Headers,
  startWrite,
  type TracedMessage,
  traceClient,
  traceIncoming,
  traceOutgoing,
  tracing,
  withoutTrace,
} from './spans.ts'
export { startTracing, type Tracing, type TracingConfig, type TracingOptions } from './start.ts'
