import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from '@opentelemetry/api'

export type Headers = Readonly<Record<string, string>>

/** A message on NATS as a span tells of it: never its payload, and of its subject the pattern, without ids. */
export interface TracedMessage {
  /** As in the contract: `auction.{auctionId}.bid`. */
  readonly pattern: string
  /** Of the payload. */
  readonly bytes: number
}

let tracer: Tracer | undefined

/** Whether spans are made; while not, everything else here is passed by at the cost of this one look. */
export const tracing = {
  get enabled(): boolean {
    return tracer !== undefined
  },
}

/** Makes spans from now on, or no more. */
export function useTracer(next: Tracer | undefined): void {
  tracer = next
}

type ReadHeader = (name: string) => string | undefined

const fromHeader: TextMapGetter<ReadHeader> = {
  get: (header, name) => header(name),
  keys: () => [],
}
const toHeaders = {
  set(headers: Record<string, string>, name: string, value: string) {
    headers[name] = value
  },
}

/**
 * Handles a message as part of the trace that its headers name: a span that ends with the handler's promise, if it
 * answers one. A message without a valid `traceparent` begins no trace: a gateway is given far more of them than
 * anybody would look at.
 */
export function traceIncoming<T>({ pattern, bytes }: TracedMessage, header: ReadHeader, handle: () => T): T {
  if (tracer === undefined) return handle()
  const parent = propagation.extract(ROOT_CONTEXT, header, fromHeader)
  if (trace.getSpanContext(parent) === undefined) return handle()
  const attributes = attributesOf('process', pattern, bytes)
  const span = tracer.startSpan(`process ${pattern}`, { kind: SpanKind.CONSUMER, attributes }, parent)
  return within(span, trace.setSpan(parent, span), handle)
}

/**
 * Sends a message as part of the trace under way, if there is one: the headers that `send` is given name it. The
 * span ends with `send`'s promise, if it answers one: when the message is stored, or answered.
 */
export function traceOutgoing<T>(
  operation: 'publish' | 'request',
  { pattern, bytes }: TracedMessage,
  headers: Headers | undefined,
  send: (headers: Headers | undefined) => T,
): T {
  if (tracer === undefined) return send(headers)
  const parent = context.active()
  if (trace.getSpanContext(parent) === undefined) return send(headers)
  const kind = operation === 'publish' ? SpanKind.PRODUCER : SpanKind.CLIENT
  const attributes = attributesOf(operation, pattern, bytes)
  const span = tracer.startSpan(`${operation} ${pattern}`, { kind, attributes }, parent)
  const here = trace.setSpan(parent, span)
  return within(span, here, () => {
    const traced = { ...headers }
    propagation.inject(here, traced, toHeaders)
    return send(traced)
  })
}

/** The trace under way, to go on with in {@link traceClient} when a client has answered; undefined where none is. */
export function currentTrace(): Context | undefined {
  if (tracer === undefined) return undefined
  const active = context.active()
  return trace.getSpanContext(active) === undefined ? undefined : active
}

/**
 * Does what a client asked for, or has answered, in a span of its own: of a new trace, which the sampler may pass
 * over, or of one that {@link currentTrace} has kept.
 * @param name one of few: nothing that clients choose freely
 */
export function traceClient<T>(name: string, handle: () => T, parent?: Context): T {
  if (tracer === undefined) return handle()
  const span = tracer.startSpan(name, { kind: SpanKind.SERVER }, parent ?? ROOT_CONTEXT)
  return within(span, trace.setSpan(parent ?? ROOT_CONTEXT, span), handle)
}

/** Does something that belongs to no trace though it was begun within one: what many requests share. */
export function withoutTrace<T>(handle: () => T): T {
  return tracer === undefined ? handle() : context.with(ROOT_CONTEXT, handle)
}

/**
 * Bytes of the trace under way are on their way to sockets: answers what to call when the sockets have them, or
 * undefined where no trace is recorded.
 */
export function startWrite(bytes: number): (() => void) | undefined {
  if (tracer === undefined) return undefined
  if (trace.getActiveSpan()?.isRecording() !== true) return undefined
  const span = tracer.startSpan('write', { attributes: { 'messaging.message.body.size': bytes } })
  return () => span.end()
}

/** OpenTelemetry's conventions for messaging. Ids would make as many destinations as there are users. */
function attributesOf(
  operation: 'process' | 'publish' | 'request',
  pattern: string,
  bytes: number,
): Attributes {
  return {
    'messaging.system': 'nats',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation === 'process' ? 'process' : 'send',
    'messaging.destination.name': pattern,
    'messaging.destination.template': pattern,
    'messaging.message.body.size': bytes,
  }
}

function within<T>(span: Span, here: Context, body: () => T): T {
  let result: T
  try {
    result = context.with(here, body)
  } catch (error) {
    fail(span, error)
    throw error
  }
  if (!(result instanceof Promise)) {
    span.end()
    return result
  }
  return result.then(
    (value) => {
      span.end()
      return value
    },
    (error) => {
      fail(span, error)
      throw error
    },
  ) as T
}

/** By its kind alone: an error's text may name a user, or quote what was sent. */
function fail(span: Span, error: unknown): void {
  span.setAttribute('error.type', error instanceof Error ? error.constructor.name : typeof error)
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.end()
}
