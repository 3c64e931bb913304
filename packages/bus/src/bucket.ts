import type { BucketDefinition } from '@carillon/events'
import { JetStreamApiError } from '@nats-io/jetstream'
import { type KV, Kvm, type KvWatchEntry } from '@nats-io/kv'
import type { NatsConnection, QueuedIterator } from '@nats-io/transport-node'
import { type Connection, delay } from './connection.ts'
import { BusUnavailable, RevisionMismatch } from './errors.ts'

export interface Entry<T> {
  readonly value: T
  /** For compare-and-set. */
  readonly revision: number
}

/** What a watcher learns: a value, `undefined` for a deleted key, or the reason why a value was refused. */
export type Change<T> =
  | { readonly key: string; readonly value: T | undefined }
  | { readonly key: string; readonly refused: string }

export interface WatchOptions {
  /** A key, or keys with wildcards: `room.*`, `user.42.>`. Default: all. */
  readonly filter?: string
  /** Called each time all values there were have been told: at the start, and after each reconnect. */
  readonly onSynced?: () => void
}

const WATCH_RETRY_MS = 1_000

/** A key-value bucket that is made on demand. Keys are escaped by the caller. */
export class Bucket<T> {
  readonly #connection: Connection
  readonly #definition: BucketDefinition<T>
  #opened:
    | { readonly nats: NatsConnection; readonly reconnects: number; readonly kv: Promise<KV> }
    | undefined

  constructor(connection: Connection, definition: BucketDefinition<T>) {
    this.#connection = connection
    this.#definition = definition
  }

  /** @throws {BusUnavailable}; {Error} if what is stored does not match the bucket's schema. */
  async get(key: string): Promise<Entry<T> | undefined> {
    const entry = await (await this.#kv()).get(key)
    if (entry === null || entry.operation !== 'PUT') return undefined
    const decoded = this.#definition.value.decode(entry.value)
    if (!decoded.ok) throw new Error(`${this.#definition.name} ${key}: ${decoded.reason}`)
    return { value: decoded.value, revision: entry.revision }
  }

  /** Writes unconditionally; answers the new revision. */
  async put(key: string, value: T): Promise<number> {
    return (await this.#kv()).put(key, this.#definition.value.encode(value))
  }

  /**
   * Compare-and-set: writes only if the key's last revision is this one; answers the new revision.
   * @throws {RevisionMismatch} if it is another, or if the key was deleted
   */
  async update(key: string, value: T, revision: number): Promise<number> {
    const kv = await this.#kv()
    return this.#compareAndSet(key, () => kv.update(key, this.#definition.value.encode(value), revision))
  }

  /**
   * Writes only if the key does not exist (deleted keys do not); answers the new revision.
   * @throws {RevisionMismatch} if it exists
   */
  async create(key: string, value: T): Promise<number> {
    const kv = await this.#kv()
    return this.#compareAndSet(key, () => kv.create(key, this.#definition.value.encode(value)))
  }

  /**
   * Deletes a key, whether it exists or not; with a revision only if that is still the last one.
   * @throws {RevisionMismatch} if it is another
   */
  async delete(key: string, options: { readonly revision?: number } = {}): Promise<void> {
    const kv = await this.#kv()
    const { revision } = options
    await this.#compareAndSet(key, () =>
      kv.delete(key, revision === undefined ? {} : { previousSeq: revision }),
    )
  }

  /**
   * The keys that exist, in no particular order; `filter` is a key with wildcards: `room.*` or `user.42.>`.
   * @throws {BusUnavailable}
   */
  async keys(filter = '>'): Promise<string[]> {
    const keys: string[] = []
    for await (const key of await (await this.#kv()).keys(filter)) keys.push(key)
    return keys
  }

  /**
   * Calls back with every value there is and with every change from then on, for ever: the watch is made anew
   * after each reconnect, and keys that went away meanwhile are reported as deleted. Keys that end by the bucket's
   * `maxAgeMs` are not reported: the server does not tell. Answers how to stop it.
   */
  watch(changed: (change: Change<T>) => void, options: WatchOptions = {}): () => void {
    const known = new Set<string>()
    const stopped = new AbortController()
    let current: QueuedIterator<KvWatchEntry> | undefined
    let generation = 0

    const run = async (mine: number) => {
      while (mine === generation && !stopped.signal.aborted) {
        try {
          await follow(mine)
        } catch (error) {
          this.#connection.log.warn(
            { bucket: this.#definition.name, reason: error instanceof Error ? error.message : String(error) },
            'watching a bucket failed, trying again',
          )
        }
        await delay(WATCH_RETRY_MS, stopped.signal)
      }
    }

    const follow = async (mine: number) => {
      const kv = await this.#kv()
      const absent = new Set(known)
      let synced = false
      const { filter = '>' } = options
      const nothing = (await this.keys(filter)).length === 0
      const watcher = await kv.watch({ key: filter })
      if (mine !== generation || stopped.signal.aborted) return watcher.stop()
      current = watcher
      const settle = () => {
        for (const key of absent) {
          known.delete(key)
          changed({ key, value: undefined })
        }
        absent.clear()
        if (synced) return
        synced = true
        options.onSynced?.()
      }
      if (nothing) settle()
      for await (const entry of watcher) {
        absent.delete(entry.key)
        if (entry.operation === 'PUT') {
          known.add(entry.key)
          const decoded = this.#definition.value.decode(entry.value)
          changed(
            decoded.ok
              ? { key: entry.key, value: decoded.value }
              : { key: entry.key, refused: decoded.reason },
          )
        } else {
          known.delete(entry.key)
          changed({ key: entry.key, value: undefined })
        }
        if (entry.delta === 0) settle()
      }
    }

    const forget = this.#connection.onChange((connected) => {
      generation += 1
      current?.stop()
      if (connected) void run(generation)
    })
    return () => {
      stopped.abort()
      forget()
      current?.stop()
    }
  }

  async #compareAndSet<R>(key: string, write: () => Promise<R>): Promise<R> {
    try {
      return await write()
    } catch (error) {
      if (isWrongLastSequence(error)) {
        throw new RevisionMismatch(`${this.#definition.name} ${key}`, { cause: error })
      }
      throw error
    }
  }

  #kv(): Promise<KV> {
    const { nats, connected, reconnects } = this.#connection
    if (nats === undefined || !connected) return Promise.reject(new BusUnavailable())
    if (this.#opened?.nats !== nats || this.#opened.reconnects !== reconnects) {
      const { name, storage, maxAgeMs } = this.#definition
      const kv = new Kvm(nats).create(name, { history: 1, storage: storage as never, ttl: maxAgeMs })
      const opened = { nats, reconnects, kv }
      this.#opened = opened
      kv.catch(() => {
        if (this.#opened === opened) this.#opened = undefined
      })
    }
    return this.#opened.kv
  }
}

/** The two codes by which nats-server says that a subject's last sequence is not the expected one. */
export function isWrongLastSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && (error.code === 10_071 || error.code === 10_164)
}
