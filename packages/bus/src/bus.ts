import type {
  BucketDefinition,
  EventChannel,
  RequestChannel,
  StreamDefinition,
  SubjectParams,
} from '@carillon/events'
import { type Msg, NoRespondersError, RequestError } from '@nats-io/transport-node'
import { Bucket } from './bucket.ts'
import { type BusLog, type BusOptions, Connection } from './connection.ts'
import { type Answer, type Delivery, deliveryOf, type Headers, Reply, withHeaders } from './delivery.ts'
import { BusUnavailable, NoResponders } from './errors.ts'
import { Opening, type Subscription } from './opening.ts'
import { Stream } from './stream.ts'

export interface RejectedPayload {
  readonly subject: string
  readonly reason: string
}

/** What a message is answered with when its payload is refused. */
const refusal = (reason: string) => JSON.stringify({ error_code: -1, error_reason: reason })

/**
 * Typed NATS: publish, subscribe, request, serve, streams and buckets. Subscriptions made before the first
 * connection wait for it, and every subscription survives reconnects.
 */
export class Bus {
  readonly #connection: Connection
  readonly #waiting = new Set<Opening>()
  readonly #rejectionListeners = new Set<(rejected: RejectedPayload) => void>()

  constructor(options: BusOptions) {
    this.#connection = new Connection(options)
    this.#connection.onChange(() => this.#openWaiting())
  }

  get connected(): boolean {
    return this.#connection.connected
  }

  get reconnects(): number {
    return this.#connection.reconnects
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

  /** Calls back for every payload that was refused. The bus has logged it by then. */
  onRejected(listener: (rejected: RejectedPayload) => void): void {
    this.#rejectionListeners.add(listener)
  }

  /** @throws {BusUnavailable} without a connection; {TypeError} if the payload does not match its schema. */
  publish<P extends string, T>(
    channel: EventChannel<P, T>,
    params: SubjectParams<P>,
    payload: T,
    options: { readonly headers?: Headers } = {},
  ): void {
    this.#client().publish(channel.subject(params), channel.encode(payload), withHeaders(options.headers))
  }

  /** Publishes and waits until the channel's stream has stored it; answers its sequence number there. */
  async publishStored<P extends string, T>(
    channel: EventChannel<P, T>,
    params: SubjectParams<P>,
    payload: T,
    options: { readonly headers?: Headers } = {},
  ): Promise<number> {
    const bytes = channel.encode(payload)
    return Stream.publish(
      this.#client(),
      channel.subject(params),
      bytes,
      withHeaders(options.headers).headers,
    )
  }

  /**
   * Delivers every valid message on the channel's subjects; a missing id means any. What does not match the
   * schema is dropped, counted and logged.
   */
  subscribe<P extends string, T>(
    channel: EventChannel<P, T>,
    params: Partial<SubjectParams<P>>,
    handle: (delivery: Delivery<P, T>) => void,
    options: { readonly queue?: string } = {},
  ): Subscription {
    return this.#open(channel.filter(params), options.queue, (message) => {
      const event = this.#decode(channel, message)
      if (event) handle(event)
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
    return this.#open(channel.filter(params), options.queue, async (message) => {
      const request = this.#decode(channel, message)
      if (request === undefined) return
      try {
        const answer = await handle(request)
        if (answer instanceof Reply) {
          this.#respond(message, channel.reply.encode(answer.payload), answer.headers)
        } else this.#respond(message, channel.reply.encode(answer))
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        this.log.error({ subject: message.subject, reason }, 'a request failed')
        this.#respond(message, refusal('internal error'))
      }
    })
  }

  /**
   * One answer. @throws {NoResponders} if nobody serves it, {BusUnavailable} without a connection, an Error
   * when the answer does not come in time or is not understood.
   */
  async request<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    options: { readonly timeoutMs?: number; readonly headers?: Headers } = {},
  ): Promise<A> {
    return (await this.requestWithHeaders(channel, params, payload, options)).payload
  }

  /** As {@link request}, for channels whose answers say something in their headers. */
  async requestWithHeaders<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    options: { readonly timeoutMs?: number; readonly headers?: Headers } = {},
  ): Promise<Answer<A>> {
    const subject = channel.subject(params)
    try {
      const reply = await this.#client().request(subject, channel.encode(payload), {
        timeout: options.timeoutMs ?? 2_000,
        ...withHeaders(options.headers),
      })
      const { header } = deliveryOf(reply.headers)
      return { payload: this.#answer(channel, reply), header }
    } catch (error) {
      if (isNoResponders(error)) throw new NoResponders(subject)
      throw error
    }
  }

  /** The answers of every instance that answers within the time, which is always waited for in full. */
  async requestMany<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    options: { readonly waitMs?: number } = {},
  ): Promise<A[]> {
    const answers: A[] = []
    const replies = await this.#client().requestMany(channel.subject(params), channel.encode(payload), {
      strategy: 'timer',
      maxWait: options.waitMs ?? 500,
    })
    try {
      for await (const reply of replies) answers.push(this.#answer(channel, reply))
    } catch (error) {
      if (!isNoResponders(error)) throw error
    }
    return answers
  }

  /** A stream as the contract defines it, made or brought up to date at first use. */
  stream(definition: StreamDefinition): Stream {
    return new Stream(this.#connection, definition)
  }

  /** Sees to it that a stream exists whenever there is a connection. */
  keepStream(definition: StreamDefinition): void {
    const stream = this.stream(definition)
    this.onChange((connected) => {
      if (!connected) return
      stream.ensure().catch((error: Error) => {
        this.log.warn(
          { stream: definition.name, reason: error.message },
          'a stream could not be made or updated',
        )
      })
    })
  }

  /** A key-value bucket as the contract defines it, made or brought up to date at first use. */
  bucket<T>(definition: BucketDefinition<T>): Bucket<T> {
    return new Bucket(this.#connection, definition)
  }

  /** Round-trip to the server in milliseconds; also says that everything sent before has arrived there. */
  async roundTrip(): Promise<number> {
    const before = performance.now()
    await this.#client().flush()
    return performance.now() - before
  }

  #client() {
    const { nats, connected } = this.#connection
    // The client would queue without bound while it is away.
    if (nats === undefined || !connected) throw new BusUnavailable()
    return nats
  }

  #decode<P extends string, T>(channel: EventChannel<P, T>, message: Msg): Delivery<P, T> | undefined {
    const decoded = channel.decode(message.subject, message.data)
    if (decoded.ok) return { ...decoded.value, ...deliveryOf(message.headers) }
    this.#rejected({ subject: message.subject, reason: decoded.reason })
    this.#respond(message, refusal(decoded.reason))
    return undefined
  }

  #answer<P extends string, Q, A>(channel: RequestChannel<P, Q, A>, reply: Msg): A {
    const decoded = channel.reply.decode(reply.data)
    if (!decoded.ok)
      throw new Error(`the answer to ${channel.pattern} is not understood: ${reply.string().slice(0, 200)}`)
    return decoded.value
  }

  /** Whoever asked may be gone, and so may the connection by now: that harms nobody here. */
  #respond(message: Msg, payload: Uint8Array | string, headers?: Headers): void {
    try {
      message.respond(payload, withHeaders(headers))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.log.warn({ subject: message.subject, reason }, 'an answer could not be sent')
    }
  }

  #rejected(rejected: RejectedPayload): void {
    this.log.warn(rejected, 'a payload was refused')
    for (const listener of this.#rejectionListeners) listener(rejected)
  }

  #open(subject: string, queue: string | undefined, handle: (message: Msg) => void): Subscription {
    const opening = new Opening(subject, queue, handle)
    this.#waiting.add(opening)
    this.#openWaiting()
    return {
      unsubscribe: () => {
        this.#waiting.delete(opening)
        opening.unsubscribe()
      },
    }
  }

  #openWaiting(): void {
    const { nats } = this.#connection
    if (nats === undefined || nats.isClosed()) return
    for (const opening of this.#waiting) {
      opening.open((subject, options) => nats.subscribe(subject, options))
    }
    this.#waiting.clear()
  }
}

function isNoResponders(error: unknown): boolean {
  return error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders())
}
