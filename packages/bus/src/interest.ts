import type { Event, EventChannel, StreamDefinition, SubjectParams } from '@carillon/events'
import type { Bus } from './bus.ts'
import { delay } from './connection.ts'
import type { Delivery } from './delivery.ts'
import type { Subscription } from './opening.ts'
import type { StoredMessage, Stream } from './stream.ts'

// Channels of different payloads meet in one interest; what they carry is known to the callback.
// biome-ignore lint/suspicious/noExplicitAny: see above
type AnyChannel = EventChannel<any, any>

interface Last {
  readonly bytes: Uint8Array
  /** Where it was read from the stream a moment ago: who was given it, whose live twin it would be. */
  readonly givenTo?: Set<object> | 'everybody'
}

/** A subject that somebody in this process wants. */
interface Wanted<C extends AnyChannel> {
  readonly subject: string
  readonly channel: C
  readonly subscription: Subscription
  holders: number
  lingersUntilMs: number
  last: Last | undefined
  /** Counts deliveries: whoever waits for the stored message sees by it that a live one came first. */
  version: number
  lookup: Promise<void> | undefined
  /** Somebody asked for the stored message while the stream could not be read. */
  owed: boolean
}

export interface InterestOptions<C extends AnyChannel> {
  readonly bus: Pick<Bus, 'subscribe' | 'stream' | 'onChange' | 'log'>
  /** Every message of a wanted subject, once; `except` are the holders who have been given it already. */
  readonly deliver: (channel: C, event: InterestEvent, except?: ReadonlySet<object>) => void
  /** How long a subscription outlives its last holder: people leave and come back. */
  readonly lingerMs?: number
}

export type InterestEvent = Event<string, unknown> & Pick<Delivery<string, unknown>, 'publishedAtMs'>

/**
 * Publisher, stream and subscriber hear of one message at slightly different times. For so long after a look
 * into the stream, a live message may be the one just read, and the stream may still be about to store one
 * that was published before we subscribed.
 */
const SETTLE_MS = 500
/** How far the server's clock may be from ours. */
const CLOCK_SLACK_MS = 2_000
const CATCH_UP_PARALLEL = 64
const READABLE_TRIES = 10
const READABLE_RETRY_MS = 1_000
const COMPLAIN_MS = 5_000

/**
 * Subscriptions by interest: this process subscribes to a subject while at least one of its connections wants
 * it, and once however many do. Knows each subject's last message, from the wire or from the stream, and after
 * a reconnect delivers what was published meanwhile.
 */
export class Interest<C extends AnyChannel> {
  readonly #bus: InterestOptions<C>['bus']
  readonly #deliver: InterestOptions<C>['deliver']
  readonly #lingerMs: number
  readonly #wanted = new Map<string, Wanted<C>>()
  readonly #lingering = new Set<Wanted<C>>()
  readonly #streams = new Map<StreamDefinition, Stream>()
  readonly #stopped = new AbortController()
  #sweep: NodeJS.Timeout | undefined
  #lostAtMs: number | undefined
  #complainedAtMs = 0

  constructor(options: InterestOptions<C>) {
    this.#bus = options.bus
    this.#deliver = options.deliver
    this.#lingerMs = options.lingerMs ?? 5_000
    const forget = options.bus.onChange((connected) => {
      if (connected) void this.#catchUp(this.#lostAtMs)
      else this.#lostAtMs = Date.now()
    })
    this.#stopped.signal.addEventListener('abort', forget)
  }

  /** How many subjects are subscribed to. */
  get size(): number {
    return this.#wanted.size
  }

  /** Takes hold of a subject; the first holder subscribes. */
  hold(channel: C, params: SubjectParams<string>): void {
    const subject = channel.subject(params)
    let wanted = this.#wanted.get(subject)
    if (wanted === undefined) {
      const subscription = this.#bus.subscribe(channel, params as object, (event) =>
        this.#live(subject, event),
      )
      wanted = {
        subject,
        channel,
        subscription,
        holders: 0,
        lingersUntilMs: 0,
        last: undefined,
        version: 0,
        lookup: undefined,
        owed: false,
      }
      this.#wanted.set(subject, wanted)
    }
    wanted.holders += 1
    this.#lingering.delete(wanted)
  }

  /** Lets go of a subject; some time after the last holder's release the subscription ends. */
  release(subject: string): void {
    const wanted = this.#wanted.get(subject)
    if (wanted === undefined) return
    wanted.holders -= 1
    if (wanted.holders > 0) return
    wanted.lingersUntilMs = Date.now() + this.#lingerMs
    this.#lingering.add(wanted)
    this.#scheduleSweep()
  }

  /**
   * The last message of a held subject, for a holder who sends it on at once. Undefined where there is none,
   * where the stream cannot be asked, or where a live message overtook the question: then the holder has
   * something newer already.
   */
  async lastBeforeLive(subject: string, holder: object): Promise<Uint8Array | undefined> {
    const wanted = this.#wanted.get(subject)
    if (wanted === undefined) return undefined
    const { version } = wanted
    if (wanted.last === undefined) {
      wanted.lookup ??= this.#lookUp(wanted)
      await wanted.lookup
    }
    const now = this.#wanted.get(subject)
    if (now?.version !== version || now.last === undefined) return undefined
    if (now.last.givenTo instanceof Set) now.last.givenTo.add(holder)
    return now.last.bytes
  }

  stop(): void {
    this.#stopped.abort()
    clearTimeout(this.#sweep)
    for (const wanted of this.#wanted.values()) wanted.subscription.unsubscribe()
    this.#wanted.clear()
    this.#lingering.clear()
  }

  #live(subject: string, event: InterestEvent): void {
    const wanted = this.#wanted.get(subject)
    if (wanted === undefined) return
    const { last } = wanted
    const givenTo = last && sameBytes(last.bytes, event.bytes) ? last.givenTo : undefined
    // A slice would keep the whole network buffer alive.
    wanted.last = { bytes: Uint8Array.from(event.bytes) }
    if (givenTo === 'everybody') return
    wanted.version += 1
    this.#deliver(wanted.channel, event, givenTo)
  }

  async #lookUp(wanted: Wanted<C>): Promise<void> {
    const { version } = wanted
    const first = await this.#stored(wanted)
    if (wanted.version !== version) return
    if (first !== undefined) this.#remember(wanted, { bytes: first.bytes, givenTo: new Set() })
    // Published before we subscribed, but stored after we looked: the second look finds it.
    void delay(SETTLE_MS).then(async () => {
      wanted.lookup = undefined
      if (wanted.version !== version || this.#stopped.signal.aborted) return
      const second = await this.#stored(wanted)
      if (second === undefined || second.sequence === first?.sequence || wanted.version !== version) return
      this.#late(wanted, second)
    })
  }

  /** After a (re)connect: what was published or asked for while NATS was away is late, but not lost. */
  async #catchUp(lostAtMs: number | undefined): Promise<void> {
    const waiting = [...this.#wanted.values()].filter(({ owed }) => owed || lostAtMs !== undefined)
    for (const definition of new Set(waiting.map(({ channel }) => channel.stream)))
      await this.#readable(definition)
    const queue = waiting.values()
    const work = async () => {
      for (const wanted of queue) {
        const { version } = wanted
        const stored = await this.#stored(wanted)
        if (stored === undefined || wanted.version !== version || this.#stopped.signal.aborted) continue
        const publishedMeanwhile = lostAtMs !== undefined && stored.storedAtMs >= lostAtMs - CLOCK_SLACK_MS
        const seen = wanted.last !== undefined && sameBytes(wanted.last.bytes, stored.bytes)
        if ((publishedMeanwhile || wanted.owed) && !seen) this.#late(wanted, stored)
        wanted.owed = false
      }
    }
    await Promise.all(Array.from({ length: CATCH_UP_PARALLEL }, work))
  }

  #late(wanted: Wanted<C>, stored: StoredMessage): void {
    const decoded = wanted.channel.decode(stored.subject, stored.bytes)
    if (!decoded.ok) return
    wanted.version += 1
    this.#remember(wanted, { bytes: stored.bytes, givenTo: 'everybody' })
    this.#deliver(wanted.channel, { ...decoded.value, publishedAtMs: undefined })
  }

  /** Keeps what was read; after a moment no live twin of it is expected any more. */
  #remember(wanted: Wanted<C>, last: Last): void {
    wanted.last = last
    void delay(SETTLE_MS).then(() => {
      if (wanted.last === last) wanted.last = { bytes: last.bytes }
    })
  }

  /** The stored last message, if there is a valid one. */
  async #stored(wanted: Wanted<C>): Promise<StoredMessage | undefined> {
    const definition: StreamDefinition | undefined = wanted.channel.stream
    if (definition === undefined) return undefined
    try {
      const stored = await this.#streamOf(definition).last(wanted.subject)
      return stored && wanted.channel.decode(stored.subject, stored.bytes).ok ? stored : undefined
    } catch (error) {
      wanted.owed = true
      this.#complain(wanted.subject, error)
      return undefined
    }
  }

  #streamOf(definition: StreamDefinition): Stream {
    let stream = this.#streams.get(definition)
    if (stream === undefined) {
      stream = this.#bus.stream(definition)
      this.#streams.set(definition, stream)
    }
    return stream
  }

  /** After a restart a stream may need a while to find its leader. */
  async #readable(definition: StreamDefinition | undefined): Promise<void> {
    if (definition === undefined) return
    for (let tries = 0; tries < READABLE_TRIES && !this.#stopped.signal.aborted; tries++) {
      const error = await this.#streamOf(definition)
        .ensure()
        .then(
          () => undefined,
          (reason: unknown) => reason,
        )
      if (error === undefined) return
      this.#complain(definition.name, error)
      await delay(READABLE_RETRY_MS)
    }
  }

  /** Clients may ask often while a stream is away: the log hears of it now and then. */
  #complain(about: string, error: unknown): void {
    const now = Date.now()
    if (now - this.#complainedAtMs < COMPLAIN_MS) return
    this.#complainedAtMs = now
    const reason = error instanceof Error ? error.message : String(error)
    this.#bus.log.warn({ about, reason }, 'a stream cannot be read')
  }

  #scheduleSweep(): void {
    if (this.#sweep !== undefined) return
    this.#sweep = setTimeout(() => {
      this.#sweep = undefined
      const now = Date.now()
      for (const wanted of this.#lingering) {
        if (wanted.lingersUntilMs > now) continue
        this.#lingering.delete(wanted)
        this.#wanted.delete(wanted.subject)
        wanted.subscription.unsubscribe()
      }
      if (this.#lingering.size > 0) this.#scheduleSweep()
    }, this.#lingerMs)
    this.#sweep.unref()
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
