import { type BucketDefinition, KEY_BYTES_MAX, type Payload } from '@carillon/events'
import { jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection, QueuedIterator } from '@nats-io/transport-node'
import { type Change, type WatchOptions, watch } from './bucket-watch.ts'
import type { Connection } from './connection.ts'
import { BusUnavailable, RevisionMismatch } from './errors.ts'
import type { Rejections } from './rejections.ts'
import { sendable } from './requests.ts'
import { Storage } from './storage.ts'
import { bucketConfig, isWrongLastSequence } from './stream-config.ts'

export interface Entry<T> {
  readonly value: T
  /** For compare-and-set. */
  readonly revision: number
}

/** What is stored does not match the schema: why, and the revision by which it can be replaced. */
export interface RefusedEntry {
  readonly refused: string
  readonly revision: number
}

const NO_BYTES = new Uint8Array()
const LISTING_MS_MAX = 20_000

/**
 * A key-value bucket that is made on demand. Keys are made by `bucketKey`. Reads are answered by the server that
 * takes the writes, so that they see the last one. Entries end together with the bucket's `maxAgeMs` after their
 * last write; one entry cannot have a time of its own.
 */
export class Bucket<T> {
  readonly #connection: Connection
  readonly #name: string
  readonly #value: Payload<T>
  readonly #rejections: Rejections
  readonly #storage: Storage
  #opened: { readonly nats: NatsConnection; readonly kv: Promise<KV> } | undefined

  constructor(connection: Connection, definition: BucketDefinition<T>, rejections: Rejections) {
    this.#connection = connection
    this.#name = definition.name
    this.#value = definition.value
    this.#rejections = rejections
    this.#storage = new Storage(connection, 'bucket', bucketConfig(definition))
  }

  get storage(): Storage {
    return this.#storage
  }

  /** Makes the bucket, or updates it where it differs from its definition. Idempotent. */
  async ensure(): Promise<void> {
    await this.#storage.manager()
  }

  /** Keeps the bucket: made whenever there is a connection, and looked at from then on. */
  keep(options: { readonly essential?: boolean } = {}): void {
    this.#storage.keep(options)
  }

  /** @throws {BusUnavailable}; {Error} if what is stored does not match the bucket's schema. */
  async get(key: string): Promise<Entry<T> | undefined> {
    const entry = await this.find(key)
    if (entry && 'refused' in entry) throw new Error(`${this.#name} ${key}: ${entry.refused}`)
    return entry
  }

  /** The same for those who replace what does not match the bucket's schema. @throws {BusUnavailable} */
  async find(key: string): Promise<Entry<T> | RefusedEntry | undefined> {
    const entry = await this.#use(key, NO_BYTES, (kv) => kv.get(key))
    if (entry === null || entry.operation !== 'PUT') return undefined
    const { revision } = entry
    const decoded = this.#value.decode(entry.value)
    if (decoded.ok) return { value: decoded.value, revision }
    return { refused: this.#rejections.add(`$KV.${this.#name}.${key}`, decoded.reason), revision }
  }

  /** Writes unconditionally; answers the new revision. @throws {BusUnavailable} */
  async put(key: string, value: T): Promise<number> {
    const bytes = this.#value.encode(value)
    return this.#use(key, bytes, (kv) => kv.put(key, bytes))
  }

  /**
   * Compare-and-set: writes only if the key's last revision is this one; answers the new revision.
   * @throws {RevisionMismatch} if it is another, or if the key was deleted
   */
  async update(key: string, value: T, revision: number): Promise<number> {
    const bytes = this.#value.encode(value)
    return this.#use(key, bytes, (kv) => kv.update(key, bytes, revision))
  }

  /**
   * Writes only if the key does not exist (deleted keys do not); answers the new revision.
   * @throws {RevisionMismatch} if it exists
   */
  async create(key: string, value: T): Promise<number> {
    const bytes = this.#value.encode(value)
    return this.#use(key, bytes, (kv) => kv.create(key, bytes))
  }

  /**
   * Deletes a key, whether it exists or not; with a revision only if that is still the last one.
   * @throws {RevisionMismatch} if it is another
   */
  async delete(key: string, { revision }: { readonly revision?: number } = {}): Promise<void> {
    await this.#use(key, NO_BYTES, (kv) =>
      kv.delete(key, revision === undefined ? {} : { previousSeq: revision }),
    )
  }

  /**
   * The keys that exist, in no particular order; `filter` is a key with wildcards: `room.*` or `user.42.>`.
   * @throws {BusUnavailable}
   */
  async keys(filter = '>'): Promise<string[]> {
    return this.#use(filter, NO_BYTES, async (kv, nats) => this.#all(await kv.keys(filter), nats))
  }

  /**
   * Calls back with every value there is and with every change from then on, for ever: the watch is made anew after
   * each reconnect and when the bucket was made again, and keys that went away meanwhile are reported as deleted.
   * What is known already is told again then. Keys that end by the bucket's `maxAgeMs` are not reported: the server
   * does not tell. Answers how to stop it.
   */
  watch(changed: (change: Change<T>) => void, options: WatchOptions = {}): () => void {
    return watch({
      ...{ connection: this.#connection, storage: this.#storage, rejections: this.#rejections },
      ...{ bucket: this.#name, value: this.#value, changed },
      ...options,
    })
  }

  /**
   * Takes the traces of keys that were deleted out of the storage, which keeps one for each otherwise. Those that
   * are younger stay, for watchers that are away.
   */
  async purgeDeleted(olderThanMs: number): Promise<void> {
    const deleted: { readonly key: string; readonly revision: number }[] = []
    await this.#use('', NO_BYTES, async (kv, nats) => {
      for (const { key, revision, operation, created } of await this.#all(await kv.history(), nats)) {
        // The server's wall time against ours: the age is given in hours rather than in seconds.
        if (operation !== 'PUT' && Date.now() - created.getTime() >= olderThanMs)
          deleted.push({ key, revision })
      }
    })
    const { name } = this.#storage
    for (const { key, revision } of deleted) {
      // Up to the trace itself: what was written since stays.
      const purge = { filter: `$KV.${this.#name}.${key}`, seq: revision + 1 }
      await this.#storage.use(({ streams }) => streams.purge(name, purge))
    }
  }

  /** Everything a listing gives. One that breaks off with its connection, or hangs, is an error, and not the end. */
  async #all<R>(listing: QueuedIterator<R>, nats: NatsConnection): Promise<R[]> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      listing.stop()
    }, LISTING_MS_MAX)
    const all: R[] = []
    try {
      for await (const each of listing) all.push(each)
    } finally {
      clearTimeout(timer)
    }
    if (nats.isClosed()) throw new BusUnavailable()
    if (late) throw new Error(`${this.#name}: not listed within ${LISTING_MS_MAX} ms`)
    return all
  }

  async #use<R>(
    key: string,
    bytes: Uint8Array,
    operation: (kv: KV, nats: NatsConnection) => Promise<R>,
  ): Promise<R> {
    if (key.length > KEY_BYTES_MAX) throw new RangeError(`${this.#name}: a key of ${key.length} bytes`)
    sendable(this.#connection, `${this.#name} ${key}`, bytes)
    try {
      return await this.#storage.use(async (_manager, nats) => operation(await this.#kv(nats), nats))
    } catch (error) {
      if (!isWrongLastSequence(error)) throw error
      throw new RevisionMismatch(`${this.#name} ${key}`, { cause: error })
    }
  }

  #kv(nats: NatsConnection): Promise<KV> {
    if (this.#opened?.nats !== nats) {
      const opened = {
        nats,
        kv: new Kvm(jetstream(nats, { checkAPI: false })).open(this.#name, { allow_direct: false }),
      }
      this.#opened = opened
      opened.kv.catch(() => {
        if (this.#opened === opened) this.#opened = undefined
      })
    }
    return this.#opened.kv
  }
}
