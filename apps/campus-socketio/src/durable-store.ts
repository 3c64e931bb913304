import type { Bus, StoredMessage, Stream } from '@carillon/bus'
import { CAMPUS_OUTBOX_MAX_AGE_MS, campus, campusOutboxStream, EXPIRES_AT_HEADER } from '@carillon/events'
import { type DurableEvent, expiryOf } from './durable-events.ts'

export interface DurableStoreOptions {
  readonly bus: Bus
  /** A durable event was stored just now, or is told of again. */
  readonly stored: (serialNo: string, event: DurableEvent) => void
  /** From now on nothing is missed; what was stored before must be loaded. */
  readonly following: () => void
  readonly refused: (reason: string) => void
}

const RETRY_MS = 5_000
/** A device has one message for each kind of event: more are not its own. */
const LOADED_MAX = 1_000

/** The durable events of all devices, as the stream has them. Every instance follows it and keeps nothing of it. */
export class DurableStore {
  readonly #options: DurableStoreOptions
  readonly #stream: Stream
  /** Sequence numbers to be deleted that could not be. */
  readonly #toDelete = new Set<number>()
  #stopFollowing: (() => void) | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(options: DurableStoreOptions) {
    this.#options = options
    this.#stream = options.bus.stream(campusOutboxStream)
  }

  start(): void {
    this.#stopFollowing = this.#stream.follow(
      (message) => {
        const decoded = this.#decode(message)
        if (decoded) this.#options.stored(decoded.serialNo, decoded.event)
      },
      () => {
        this.#deleteAgain()
        this.#options.following()
      },
    )
  }

  stop(): void {
    this.#stopFollowing?.()
    clearTimeout(this.#retry)
  }

  /** What waits for a device, in the order of publishing. @throws {BusUnavailable} */
  async load(serialNo: string): Promise<readonly DurableEvent[]> {
    const events: DurableEvent[] = []
    for (let from = 1; events.length < LOADED_MAX; ) {
      const message = await this.#stream.next(campus.outbox.filter({ serialNo }), from)
      if (message === undefined) break
      from = message.sequence + 1
      const decoded = this.#decode(message)
      if (decoded && !this.#toDelete.has(message.sequence)) events.push(decoded.event)
      else void this.delete(message.sequence)
    }
    return events
  }

  /** The device has acknowledged this very message, or its time is over. Tried again until NATS has done it. */
  async delete(sequence: number): Promise<void> {
    try {
      await this.#stream.delete(sequence)
      this.#toDelete.delete(sequence)
    } catch {
      this.#toDelete.add(sequence)
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined
        this.#deleteAgain()
      }, RETRY_MS).unref()
    }
  }

  #deleteAgain(): void {
    for (const sequence of this.#toDelete) void this.delete(sequence)
  }

  #decode(message: StoredMessage): { readonly serialNo: string; readonly event: DurableEvent } | undefined {
    const decoded = campus.outbox.decode(message.subject, message.bytes)
    if (!decoded.ok) {
      this.#options.bus.log.warn(
        { subject: message.subject, reason: decoded.reason },
        'a payload was refused',
      )
      this.#options.refused(decoded.reason)
      return undefined
    }
    const { params, payload, bytes } = decoded.value
    const { sequence, storedAtMs: publishedAtMs } = message
    const header = message.header(EXPIRES_AT_HEADER)
    const expiresAtMs = expiryOf(header, payload, publishedAtMs, CAMPUS_OUTBOX_MAX_AGE_MS)
    return {
      serialNo: params.serialNo,
      event: { event: params.event, sequence, body: bytes, publishedAtMs, expiresAtMs },
    }
  }
}
