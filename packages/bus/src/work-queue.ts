import { AckPolicy, type ConsumerMessages, type JsMsg, jetstream } from '@nats-io/jetstream'
import { type NatsConnection, nanos } from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { delay } from './delay.ts'
import { reasonOf } from './errors.ts'
import type { Storage } from './storage.ts'
import type { StreamPosition } from './stream.ts'

/** One message off a queue. It stays this process's as long as it says so within every `ackWaitMs`. */
export interface WorkItem {
  readonly subject: string
  readonly bytes: Uint8Array
  /** Its place in the stream: later messages have greater ones. */
  readonly position: StreamPosition
  header(name: string): string | undefined
  /** It is done, and nobody gets it again. */
  done(): void
  /** It is still being worked on. */
  extend(): void
  /** Given back: another process may have it at once. */
  release(): void
  /** Let go of, as it is no longer ours: its time was over, and another process has it. */
  abandon(): void
}

export interface WorkQueueOptions {
  readonly durable: string
  readonly ackWaitMs: number
  /** Messages that may be under way in this process. */
  readonly inFlightMax: number
  readonly handle: (item: WorkItem) => void
}

/** What all processes together may have under way: more than they ever take. */
const PENDING_MAX = 100_000
/** Messages asked for at once. A process that stands still withholds so many, until their time is over. */
const FETCH_MAX = 64
const FETCH_EXPIRES_MS = 5_000
const RETRY_MS = 500

/**
 * A share of a work-queue stream's messages, within a bound, over reconnects. Where `Stream.work` hands out one
 * channel's messages as fast as they are dealt with, a message here may stay under way for as long as its holder
 * says so, and is settled over whatever connection there is by then.
 */
export class WorkQueue {
  readonly #connection: Connection
  readonly #storage: Storage
  readonly #options: WorkQueueOptions
  readonly #stopped = new AbortController()
  #forget: (() => void) | undefined
  #current: ConsumerMessages | undefined
  #inFlight = 0
  #madeRoom: (() => void) | undefined

  constructor(connection: Connection, storage: Storage, options: WorkQueueOptions) {
    this.#connection = connection
    this.#storage = storage
    this.#options = options
  }

  /** Messages under way. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Begins to take messages, now or when there is a connection. */
  start(): void {
    this.#storage.keep()
    this.#forget = this.#connection.onChange((connected) => {
      this.#current?.stop()
      this.#madeRoom?.()
      const { nats } = this.#connection
      if (connected && nats !== undefined) void this.#run(nats)
    })
  }

  /** Takes no more; what is under way may still be settled. */
  stop(): void {
    this.#stopped.abort()
    this.#forget?.()
    this.#current?.stop()
    this.#madeRoom?.()
  }

  async #run(nats: NatsConnection): Promise<void> {
    const current = () => this.#connection.nats === nats && !this.#stopped.signal.aborted
    while (current()) {
      try {
        await this.#take(nats, current)
      } catch (error) {
        if (current())
          this.#connection.log.warn(
            { stream: this.#storage.name, reason: reasonOf(error) },
            'a queue cannot be read, trying again',
          )
      }
      if (current()) await delay(RETRY_MS, this.#stopped.signal)
    }
  }

  /** Returns, or throws, when the consumer has to be looked at again. */
  async #take(nats: NatsConnection, current: () => boolean): Promise<void> {
    const { durable, ackWaitMs, inFlightMax, handle } = this.#options
    const manager = await this.#storage.manager()
    const { created } = await manager.streams.info(this.#storage.name)
    await manager.consumers.add(this.#storage.name, {
      durable_name: durable,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ackWaitMs),
      max_ack_pending: PENDING_MAX,
    })
    const consumer = await jetstream(nats).consumers.get(this.#storage.name, durable)
    const epoch = Date.parse(String(created))
    while (current()) {
      const free = inFlightMax - this.#inFlight
      if (free <= 0) {
        await new Promise<void>((resolve) => {
          this.#madeRoom = resolve
        })
        continue
      }
      const askedAtMs = performance.now()
      let taken = 0
      const messages = await consumer.fetch({
        max_messages: Math.min(free, FETCH_MAX),
        expires: FETCH_EXPIRES_MS,
      })
      this.#current = messages
      if (!current()) messages.stop()
      for await (const message of messages) {
        taken += 1
        handle(this.#item(message, epoch))
      }
      // It ended before its time with nothing: the consumer or the stream is not well.
      if (taken === 0 && performance.now() - askedAtMs < FETCH_EXPIRES_MS / 2) return
    }
  }

  #item(message: JsMsg, epoch: number): WorkItem {
    const { reply } = message as JsMsg & { readonly reply: string }
    let settled = false
    this.#inFlight += 1
    // Not by the message itself, which would use the connection that it came over.
    const say = (word: string) => this.#connection.nats?.publish(reply, word)
    const settle = (word?: string) => {
      if (settled) return
      settled = true
      this.#inFlight -= 1
      if (word !== undefined) say(word)
      this.#madeRoom?.()
      this.#madeRoom = undefined
    }
    return {
      subject: message.subject,
      // A slice would keep the whole network buffer alive.
      bytes: Uint8Array.from(message.data),
      position: { epoch, sequence: message.seq },
      header: (name) => message.headers?.get(name) || undefined,
      done: () => settle('+ACK'),
      extend: () => {
        if (!settled) say('+WPI')
      },
      release: () => settle('-NAK'),
      abandon: () => settle(),
    }
  }
}
