import type { Event, EventChannel } from '@carillon/events'
import type { Delivery } from './delivery.ts'
import type { Checkpoint } from './storage.ts'
import type { StoredMessage } from './stream.ts'
import type { Subscription } from './subscriptions.ts'

// Channels of different payloads meet in one interest; what they carry is known to the callback.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyChannel = EventChannel<any, any>

export type InterestEvent = Event<string, unknown> & Pick<Delivery<string, unknown>, 'publishedAtMs'>

/** The last message of a subject, as this process knows it. */
export interface Last {
  readonly bytes: Uint8Array
  /** Where it was read from the stream a moment ago: who was given it already, and needs no live copy of it. */
  readonly givenTo?: Set<object> | 'everybody'
}

/** A subject that somebody in this process follows. */
export class FollowedSubject<C extends AnyChannel> {
  readonly subject: string
  readonly channel: C
  readonly subscription: Subscription
  holders = 0
  last: Last | undefined
  /** Counts deliveries: whoever waits for the stored message sees by it that a live one came first. */
  version = 0
  /**
   * Set while `last` is not to be trusted: how far the stream was known before the connection was lost. What is
   * stored behind it may not have been delivered.
   */
  unchecked: Checkpoint | undefined
  /**
   * Monotonic. Until then servers of a cluster may not all know of the subscription, so that what they are given is
   * stored but not delivered: the stream is looked at again after it.
   */
  settlesAtMs = 0
  /** Of the first holder, until the subscription can be relied upon. */
  establishing: Promise<void> | undefined
  /** Those who wait for the stream to be read. */
  #lookup: Lookup | undefined

  constructor(channel: C, subject: string, subscription: Subscription) {
    this.channel = channel
    this.subject = subject
    this.subscription = subscription
  }

  /** Whether `last` can be handed out. */
  get trusted(): boolean {
    return this.last !== undefined && this.unchecked === undefined
  }

  /** Whether this holder waits for the stream to be read. */
  isAwaitedBy(holder: object): boolean {
    return this.#lookup?.holders.has(holder) ?? false
  }

  /** Waits until the stream was read, or a live message has made that needless. */
  waitForLookup(holder: object): Promise<void> {
    this.#lookup ??= new Lookup()
    this.#lookup.holders.add(holder)
    return this.#lookup.promise
  }

  /** The stream was read, or a live message has made that needless. */
  settle(): void {
    this.#lookup?.resolve()
    this.#lookup = undefined
  }

  /** Whether a stored message may not have been delivered, by its place in the stream. */
  mayBeMissing(stored: StoredMessage, epoch: number): boolean {
    const { unchecked } = this
    if (unchecked === undefined) return false
    return unchecked.epoch !== epoch || stored.sequence > unchecked.sequence
  }
}

/** One look into the stream, and who waits for it. */
class Lookup {
  readonly holders = new Set<object>()
  readonly promise: Promise<void>
  resolve: () => void = () => {}

  constructor() {
    this.promise = new Promise((resolve) => {
      this.resolve = resolve
    })
  }
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
