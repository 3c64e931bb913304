import type { EventChannel, StreamDefinition } from '@carillon/events'
import { JetStreamApiCodes, JetStreamApiError, jetstream, type StoredMsg } from '@nats-io/jetstream'
import type { Connection } from './connection.ts'
import { type Headers, withHeaders } from './delivery.ts'
import { BusUnavailable, RevisionMismatch } from './errors.ts'
import type { Rejections } from './rejections.ts'
import { sendable } from './requests.ts'
import { type Checkpoint, Storage } from './storage.ts'
import { isWrongLastSequence, streamConfig } from './stream-config.ts'
import { type FollowOptions, follow, type StoredDelivery } from './stream-follower.ts'
import { type WorkOptions, work } from './stream-worker.ts'

/** One stored message. */
export interface StoredMessage {
  readonly subject: string
  readonly bytes: Uint8Array
  readonly sequence: number
  readonly storedAtMs: number
  header(name: string): string | undefined
}

/** A place in a stream, by which all processes agree. A stream that was made anew begins a later epoch. */
export interface StreamPosition {
  /** When the stream was made, in milliseconds since the epoch. */
  readonly epoch: number
  readonly sequence: number
}

export interface StoreOptions {
  readonly headers?: Headers
  /** A message whose id was stored within the last two minutes is not stored again; its sequence is answered. */
  readonly messageId?: string
  /** Stores only if this is the stream's last sequence. */
  readonly expectedLastSequence?: number
  /** Stores only if this is the last sequence of this subject; 0 for none. */
  readonly expectedLastSubjectSequence?: number
  /** Default 5,000. */
  readonly timeoutMs?: number
}

/** A JetStream stream that is made, or brought up to its definition, on demand. */
export class Stream {
  readonly #connection: Connection
  readonly #rejections: Rejections
  readonly #storage: Storage

  constructor(connection: Connection, definition: StreamDefinition, rejections: Rejections) {
    this.#connection = connection
    this.#rejections = rejections
    this.#storage = new Storage(connection, 'stream', streamConfig(definition))
  }

  get storage(): Storage {
    return this.#storage
  }

  get checkpoint(): Checkpoint {
    return this.#storage.checkpoint
  }

  /** How far the stream has come by now. Where it does not say so within a second: how far it was known to be. */
  mark(): Promise<Checkpoint> {
    return this.#storage.mark()
  }

  /** Makes the stream, or updates it where it differs from its definition. Idempotent. */
  async ensure(): Promise<void> {
    await this.#storage.manager()
  }

  /** Keeps the stream: made whenever there is a connection, and looked at from then on. */
  keep(options: { readonly essential?: boolean } = {}): void {
    this.#storage.keep(options)
  }

  /** Calls back when the stream was deleted and made again, by whomever; answers how to stop that. */
  onReplaced(listener: () => void): () => void {
    return this.#storage.onReplaced(listener)
  }

  /** Its place in time: when it was made, and the sequence of its last message. @throws {BusUnavailable} */
  async position(): Promise<StreamPosition> {
    const { created, state } = await this.#storage.use(({ streams }) => streams.info(this.#storage.name))
    return { epoch: Date.parse(String(created)), sequence: state.last_seq }
  }

  /** How many messages each subject has, of those that match the filter. @throws {BusUnavailable} */
  async counts(filter: string): Promise<ReadonlyMap<string, number>> {
    const { state } = await this.#storage.use(({ streams }) =>
      streams.info(this.#storage.name, { subjects_filter: filter }),
    )
    return new Map(Object.entries(state.subjects ?? {}))
  }

  /** The last message of a subject, or undefined where there is none. @throws {BusUnavailable} */
  async last(subject: string): Promise<StoredMessage | undefined> {
    const query = { last_by_subj: subject }
    const found = await this.#storage.use(({ direct, streams }) =>
      // A replica that lags, or was frozen a while, answers direct questions with what is old.
      this.#storage.replicas > 1
        ? streams.getMessage(this.#storage.name, query)
        : direct.getMessage(this.#storage.name, query),
    )
    return found === null ? undefined : storedMessage(found)
  }

  /**
   * The first message from a sequence number on whose subject matches the filter, or undefined where there is none.
   * Asks the stream's leader: what was stored before the question is found. @throws {BusUnavailable}
   */
  async next(filter: string, fromSequence: number): Promise<StoredMessage | undefined> {
    const query = { next_by_subj: filter, seq: fromSequence }
    const found = await this.#storage.use(({ streams }) => streams.getMessage(this.#storage.name, query))
    return found === null ? undefined : storedMessage(found)
  }

  /**
   * Deletes the message of this very sequence number; where it is gone already, as when a newer one of its subject
   * has replaced it, nothing happens. @throws {BusUnavailable}
   */
  async delete(sequence: number): Promise<void> {
    try {
      // Not overwritten on disk: it is no secret, and that would cost more than the delete.
      await this.#storage.use(({ streams }) => streams.deleteMessage(this.#storage.name, sequence, false))
    } catch (error) {
      if (!isMessageGone(error)) throw error
    }
  }

  /**
   * Every stored message of a channel in order, and then every one that comes: from the beginning, or from where
   * the options say. Goes on by itself after reconnects, with the message after the last one; starts anew on a
   * stream that was made again. Nothing is acknowledged. Answers how to stop it.
   */
  follow<P extends string, T>(
    channel: EventChannel<P, T>,
    handle: (delivery: StoredDelivery<P, T>) => void,
    options: FollowOptions<P> = {},
  ): () => void {
    return follow(this.#connection, this.#storage, this.#rejections, channel, handle, options)
  }

  /**
   * Hands each message to one of all workers of this name, in any process, until one has dealt with it: it is
   * acknowledged when the handler's promise resolves, and given out again, after a while, when it rejects or when
   * the process dies. Handlers see a message at least once. Answers how to stop it.
   */
  work<P extends string, T>(
    channel: EventChannel<P, T>,
    name: string,
    handle: (delivery: StoredDelivery<P, T>) => Promise<void>,
    options: WorkOptions<P> = {},
  ): () => Promise<void> {
    return work(this.#connection, this.#storage, this.#rejections, channel, name, handle, options)
  }

  /**
   * Publishes into whatever stream keeps the subject and waits until it is stored there, by the majority of its
   * replicas; answers the sequence. @throws {BusUnavailable}, {RevisionMismatch}, {PayloadTooLarge}
   */
  static async publish(
    connection: Connection,
    subject: string,
    bytes: Uint8Array,
    options: StoreOptions = {},
  ): Promise<number> {
    const nats = sendable(connection, subject, bytes)
    const { messageId, expectedLastSequence, expectedLastSubjectSequence, timeoutMs, headers } = options
    try {
      const ack = await jetstream(nats).publish(subject, bytes, {
        ...withHeaders(headers),
        ...(messageId !== undefined && { msgID: messageId }),
        ...(timeoutMs !== undefined && { timeout: timeoutMs }),
        expect: {
          ...(expectedLastSequence !== undefined && { lastSequence: expectedLastSequence }),
          ...(expectedLastSubjectSequence !== undefined && {
            lastSubjectSequence: expectedLastSubjectSequence,
          }),
        },
      })
      return ack.seq
    } catch (error) {
      if (isWrongLastSequence(error)) throw new RevisionMismatch(subject, { cause: error })
      if (nats.isClosed()) throw new BusUnavailable({ cause: error })
      throw error
    }
  }
}

function storedMessage(found: StoredMsg): StoredMessage {
  return {
    subject: found.subject,
    // A slice would keep the whole network buffer alive.
    bytes: Uint8Array.from(found.data),
    sequence: found.seq,
    storedAtMs: found.time.getTime(),
    header: (name) => found.header?.get(name) || undefined,
  }
}

/** No message has this sequence number any more. */
function isMessageGone(error: unknown): boolean {
  if (!(error instanceof JetStreamApiError)) return false
  // Servers before 2.10 have one code for all failed deletes, and say in words that the message is not there.
  return error.code === JetStreamApiCodes.NoMessageFound || /no message found/i.test(error.message)
}
