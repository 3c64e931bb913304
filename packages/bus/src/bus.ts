import type {
  BucketDefinition,
  EventChannel,
  RequestChannel,
  StreamDefinition,
  SubjectParams,
} from '@carillon/events'
import { traceIncoming, traceOutgoing, tracing } from '@carillon/tracing'
import type { Msg } from '@nats-io/transport-node'
import { Bucket } from './bucket.ts'
import { type BusLog, type BusOptions, Connection } from './connection.ts'
import { type Answer, type Delivery, type Headers, LiveDelivery, Reply, withHeaders } from './delivery.ts'
import { BusUnavailable, reasonOf } from './errors.ts'
import { type RejectedPayload, Rejections } from './rejections.ts'
import { type RequestOptions, Requests, sendable } from './requests.ts'
import { type StoreOptions, Stream } from './stream.ts'
import { type Subscription, Subscriptions } from './subscriptions.ts'
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts'

const REPLY_BYTES_MAX = 3_000

/** What a span says of a message. */
const messageOf = ({ pattern }: { readonly pattern: string }, { length: bytes }: Uint8Array) => ({
  pattern,
  bytes,
})

/** A stream or bucket that is kept. */
export interface StorageState {
  readonly name: string
  /** Whether this process is not ready without it. */
  readonly essential: boolean
  /** Why it is not available, or undefined. */
  readonly problem: string | undefined
}

/** What a message is answered with when its payload is refused. */
const refusal = (reason: string) => JSON.stringify({ error_code: -1, error_reason: reason })

/**
 * Typed NATS: publish, subscribe, request, serve, streams and buckets. Subscriptions made before the first
 * connection wait for it, and every subscription survives reconnects.
 */
export class Bus {
  readonly #connection: Connection
  readonly #subscriptions: Subscriptions
  readonly #requests: Requests
  readonly #rejections: Rejections
  readonly #streams = new Map<StreamDefinition, Stream>()
  readonly #buckets = new Map<object, Bucket<unknown>>()

  constructor(options: BusOptions) {
    this.#connection = new Connection(options)
    this.#subscriptions = new Subscriptions(this.#connection)
    this.#requests = new Requests(this.#connection)
    this.#rejections = new Rejections(this.#connection.log)
  }

  get connected(): boolean {
    return this.#connection.connected
  }

  get reconnects(): number {
    return this.#connection.reconnects
  }

  /** Whether the server is one of several: what it has confirmed is known to the others a moment later. */
  get clustered(): boolean {
    return this.#connection.clustered
  }

  /** Streams and buckets that are kept, with what is wrong with them, if something is. */
  get storage(): readonly StorageState[] {
    return [...this.#streams.values(), ...this.#buckets.values()]
      .map(({ storage }) => storage)
      .filter(({ kept }) => kept)
      .map(({ name, essential, problem }) => ({ name, essential, problem }))
  }

  get log(): BusLog {
    return this.#connection.log
  }

  start(): void {
    this.#connection.start()
  }

  /** Delivers what is under way and closes. */
  stop(): Promise<void> {
    return this.#connection.stop()
  }

  /** Calls back with the connection's state now (if it stands) and at every change; answers how to stop that. */
  onChange(listener: (connected: boolean) => void): () => void {
    return this.#connection.onChange(listener)
  }

  /** Calls back for every payload that was refused, stored ones included. The bus has logged it by then. */
  onRejected(listener: (rejected: RejectedPayload) => void): void {
    this.#rejections.onRejected(listener)
  }

  /** Counts and logs a payload that was refused elsewhere; answers the reason, cut to what may be quoted. */
  reject(subject: string, reason: string): string {
    return this.#rejections.add(subject, reason)
  }

  /**
   * @throws {BusUnavailable} without a connection; {PayloadTooLarge}; {TypeError} if the payload does not match its
   * schema; {RangeError} if an id is empty or too long
   */
  publish<P extends string, T>(
    channel: EventChannel<P, T>,
    params: SubjectParams<P>,
    payload: T,
    options: { readonly headers?: Headers } = {},
  ): void {
    const subject = channel.subject(params)
    const bytes = channel.encode(payload)
    const nats = sendable(this.#connection, subject, bytes)
    traceOutgoing('publish', messageOf(channel, bytes), options.headers, (headers) =>
      nats.publish(subject, bytes, withHeaders(headers)),
    )
  }

  /**
   * Publishes and waits until the channel's stream has stored it; answers its sequence number there.
   * @throws {RevisionMismatch} if an expected sequence is not the last one; else as {@link publish}
   */
  async publishStored<P extends string, T>(
    channel: EventChannel<P, T>,
    params: SubjectParams<P>,
    payload: T,
    options: StoreOptions = {},
  ): Promise<number> {
    const subject = channel.subject(params)
    const bytes = channel.encode(payload)
    const publish = () =>
      traceOutgoing('publish', messageOf(channel, bytes), options.headers, (headers) =>
        Stream.publish(this.#connection, subject, bytes, headers ? { ...options, headers } : options),
      )
    return channel.stream === undefined ? publish() : this.stream(channel.stream).storage.use(publish)
  }

  /**
   * Delivers every valid message on the channel's subjects; a missing id means any. What does not match the
   * schema is dropped, counted and logged. Members of one queue share the messages: each goes to one of them.
   */
  subscribe<P extends string, T>(
    channel: EventChannel<P, T>,
    params: Partial<SubjectParams<P>>,
    handle: (delivery: Delivery<P, T>) => void,
    options: {
      readonly queue?: string
      /** Passes over, undecoded, what nobody waits for an answer to. */
      readonly requestsOnly?: boolean
    } = {},
  ): Subscription {
    return this.#subscriptions.open(channel.filter(params), options.queue, (message) => {
      if (options.requestsOnly && !message.reply) return
      const event = this.#decode(channel, message)
      if (event === undefined) return
      if (tracing.enabled) traceIncoming(messageOf(channel, message.data), event.header, () => handle(event))
      else handle(event)
    })
  }

  /**
   * Answers the channel's requests. A request that does not match its schema, and a handler that throws, are
   * answered with `error_code: -1` and the reason. A {@link Reply} answers with headers.
   */
  serve<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: Partial<SubjectParams<P>>,
    handle: (delivery: Delivery<P, Q>) => A | Reply<A> | Promise<A | Reply<A>>,
    options: { readonly queue?: string } = {},
  ): Subscription {
    return this.#subscriptions.open(channel.filter(params), options.queue, async (message) => {
      const request = this.#decode(channel, message)
      if (request === undefined) return
      try {
        const answer = await traceIncoming(messageOf(channel, message.data), request.header, () =>
          handle(request),
        )
        if (answer instanceof Reply) {
          this.#respond(message, channel.reply.encode(answer.payload), answer.headers)
        } else this.#respond(message, channel.reply.encode(answer))
      } catch (error) {
        this.log.error({ subject: message.subject, reason: reasonOf(error) }, 'a request failed')
        this.#respond(message, refusal('internal error'))
      }
    })
  }

  /** Answers a request that came by {@link subscribe}, now or later. Without a connection nothing is sent. */
  answer<P extends string, Q, A>(channel: RequestChannel<P, Q, A>, replyTo: string, answer: A): void {
    if (replyTo.length <= REPLY_BYTES_MAX)
      this.#connection.nats?.publish(replyTo, channel.reply.encode(answer))
  }

  /**
   * One answer. @throws {NoResponders} at once if nobody serves it, {RequestTimeout} when the answer does not come
   * in time, {BusUnavailable} without a connection, an Error when the answer is not understood; else as
   * {@link publish}.
   */
  async request<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    options: RequestOptions = {},
  ): Promise<A> {
    return (await this.#requests.one(channel, params, payload, options)).payload
  }

  /** As {@link request}, for channels whose answers say something in their headers. */
  requestWithHeaders<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    options: RequestOptions = {},
  ): Promise<Answer<A>> {
    return this.#requests.one(channel, params, payload, options)
  }

  /** The answers of every instance that answers within the time, which is always waited for in full. */
  requestMany<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    options: { readonly waitMs?: number } = {},
  ): Promise<A[]> {
    return this.#requests.many(channel, params, payload, options.waitMs ?? 500)
  }

  /** A stream as the contract defines it, made or brought up to date at first use. */
  stream(definition: StreamDefinition): Stream {
    let stream = this.#streams.get(definition)
    if (stream === undefined) {
      stream = new Stream(this.#connection, definition, this.#rejections)
      this.#streams.set(definition, stream)
    }
    return stream
  }

  /** Sees to it that a stream exists whenever there is a connection; without it this process is not ready. */
  keepStream(definition: StreamDefinition): Stream {
    const stream = this.stream(definition)
    stream.keep({ essential: true })
    return stream
  }

  /**
   * Takes messages off a work-queue stream, together with every other process that names the same durable
   * consumer: each message goes to one of them, and to another one if it is not settled in time.
   */
  workQueue(definition: StreamDefinition, options: WorkQueueOptions): WorkQueue {
    return new WorkQueue(this.#connection, this.stream(definition).storage, options)
  }

  /** A key-value bucket as the contract defines it, made or brought up to date at first use. */
  bucket<T>(definition: BucketDefinition<T>): Bucket<T> {
    let bucket = this.#buckets.get(definition)
    if (bucket === undefined) {
      bucket = new Bucket(this.#connection, definition, this.#rejections) as Bucket<unknown>
      this.#buckets.set(definition, bucket)
    }
    return bucket as Bucket<T>
  }

  /** Sees to it that a bucket exists whenever there is a connection; without it this process is not ready. */
  keepBucket<T>(definition: BucketDefinition<T>): Bucket<T> {
    const bucket = this.bucket(definition)
    bucket.keep({ essential: true })
    return bucket
  }

  /** Round-trip to the server in milliseconds; also says that everything sent before has arrived there. */
  async roundTrip(): Promise<number> {
    const { nats } = this.#connection
    if (nats === undefined) throw new BusUnavailable()
    const before = performance.now()
    const broken = nats.closed().then(() => {
      throw new BusUnavailable()
    })
    await Promise.race([nats.flush(), broken])
    return performance.now() - before
  }

  #decode<P extends string, T>(channel: EventChannel<P, T>, message: Msg): Delivery<P, T> | undefined {
    const decoded = channel.decode(message.subject, message.data)
    if (decoded.ok) return new LiveDelivery(decoded.value, message)
    this.#respond(message, refusal(this.#rejections.add(message.subject, decoded.reason)))
    return undefined
  }

  /** Whoever asked may be gone, and so may the connection by now: that harms nobody here. */
  #respond(message: Msg, payload: Uint8Array | string, headers?: Headers): void {
    try {
      // A longer one, with the sizes of our answer behind it, could be more than the server takes of one line.
      if ((message.reply?.length ?? 0) > REPLY_BYTES_MAX)
        throw new RangeError('the reply subject is too long')
      message.respond(payload, withHeaders(headers))
    } catch (error) {
      this.log.warn({ subject: message.subject, reason: reasonOf(error) }, 'an answer could not be sent')
    }
  }
}
