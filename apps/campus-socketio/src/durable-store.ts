import type { Bus, StoredDelivery, StoredMessage, Stream } from '@carillon/bus'
import { CAMPUS_OUTBOX_MAX_AGE_MS, campus, campusOutboxStream, EXPIRES_AT_HEADER } from '@carillon/events'
import { type DurableEvent, expiryOf } from './durable-events.ts'

export interface DurableStoreOptions {
  readonly bus: Bus
  /** A durable event was stored just now, or is told of again. */
  readonly stored: (serialNo: string, event: DurableEvent) => void
  /** The stream was deleted and made again: sequence numbers begin anew. */
  readonly replaced: () => void
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
  #forget: (() => void) | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(options: DurableStoreOptions) {
    this.#options = options
    this.#stream = options.bus.stream(campusOutboxStream)
  }

  /**
   * Follows the stream from its beginning: a device that comes reads what was stored before, and whatever the
   * follower has not reached by then is told afterwards.
   */
  start(): void {
    this.#forget = this.#stream.onReplaced(() => {
      this.#toDelete.clear()
      this.#options.replaced()
    })
    this.#stopFollowing = this.#stream.follow(campus.outbox, (delivery) => {
      this.#options.stored(delivery.params.serialNo, durableEvent(delivery))
    })
  }

  stop(): void {
    this.#stopFollowing?.()
    this.#forget?.()
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
      if (decoded && !this.#toDelete.has(message.sequence)) events.push(decoded)
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

  #decode(message: StoredMessage): DurableEvent | undefined {
    const decoded = campus.outbox.decode(message.subject, message.bytes)
    if (decoded.ok) return durableEvent({ ...decoded.value, ...message, bytes: decoded.value.bytes })
    this.#options.bus.log.warn({ subject: message.subject, reason: decoded.reason }, 'a payload was refused')
    this.#options.refused(decoded.reason)
    return undefined
  }
}

function durableEvent({
  params: { event },
  payload,
  bytes: body,
  sequence,
  storedAtMs: publishedAtMs,
  header,
}: Pick<
  StoredDelivery<(typeof campus.outbox)['pattern'], object>,
  'params' | 'payload' | 'bytes' | 'sequence' | 'storedAtMs' | 'header'
>): DurableEvent {
  const expiresAtMs = expiryOf(header(EXPIRES_AT_HEADER), payload, publishedAtMs, CAMPUS_OUTBOX_MAX_AGE_MS)
  // The follower's bytes are a slice of a network buffer, which would live as long as the event waits.
  return { event, sequence, body: Uint8Array.from(body), publishedAtMs, expiresAtMs }
}
