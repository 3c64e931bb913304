import type { StreamDefinition, SubjectParams } from '@carillon/events'
import type { Bus } from './bus.ts'
import { CheckQueue } from './check-queue.ts'
import { abortController, delay } from './delay.ts'
import { DelayedRelease } from './delayed-release.ts'
import { reasonOf } from './errors.ts'
import {
  type AnyChannel,
  FollowedSubject,
  type InterestEvent,
  type Last,
  sameBytes,
} from './followed-subject.ts'
import type { Checkpoint } from './storage.ts'
import type { StoredMessage, Stream } from './stream.ts'

export interface InterestOptions<C extends AnyChannel> {
  readonly bus: Pick<Bus, 'subscribe' | 'stream' | 'onChange' | 'clustered' | 'log' | 'reject'>
  /** Every message of a followed subject, once; `except` are the holders who have been given it already. */
  readonly deliver: (channel: C, event: InterestEvent, except?: ReadonlySet<object>) => void
  /** How long a subscription outlives its last holder: people leave and come back. */
  readonly lingerMs?: number
}

/**
 * Publisher, stream and subscriber learn of one message at slightly different times. For so long after a look
 * into the stream, a live message may be the one just read, and the stream may still be about to store one
 * that was published before we subscribed.
 */
const SETTLE_MS = 500
const WARN_INTERVAL_MS = 5_000

/**
 * Subscriptions by interest: this process subscribes to a subject while at least one of its connections follows
 * it, and once however many do. Knows each subject's last message, from the wire or from the stream. After a
 * reconnect each subject's stored message is read again, until it could be read; what the stream stored behind the
 * point it was known to have reached before is delivered late, and nothing remembered is handed out unread.
 */
export class Interest<C extends AnyChannel> {
  readonly #bus: InterestOptions<C>['bus']
  readonly #deliver: InterestOptions<C>['deliver']
  readonly #followed = new Map<string, FollowedSubject<C>>()
  readonly #delayedRelease: DelayedRelease<FollowedSubject<C>>
  readonly #streams = new Map<StreamDefinition, Stream>()
  readonly #marks = new Map<StreamDefinition, Promise<Checkpoint>>()
  readonly #checks: CheckQueue<FollowedSubject<C>>
  readonly #stopped = abortController()
  #warnedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: InterestOptions<C>) {
    this.#bus = options.bus
    this.#deliver = options.deliver
    this.#delayedRelease = new DelayedRelease(options.lingerMs ?? 5_000, (followed) => this.#end(followed))
    this.#checks = new CheckQueue(
      (followed) => this.#check(followed),
      ({ subject }, error) => this.#warn(subject, error),
    )
    const forget = options.bus.onChange((connected) => {
      if (connected) {
        this.#checks.resume()
        if (options.bus.clustered) this.#settle([...this.#followed.values()])
        return
      }
      this.#checks.suspend()
      for (const followed of this.#followed.values()) this.#recheck(followed)
    })
    this.#stopped.signal.addEventListener('abort', forget)
  }

  /** How many subjects are subscribed to. */
  get size(): number {
    return this.#followed.size
  }

  /**
   * Takes hold of a subject; the first holder subscribes. Answers undefined where the server has confirmed the
   * subscription already: what is published from now on will be delivered. Else a promise of that, which waits as
   * long as NATS is away.
   */
  hold(channel: C, params: SubjectParams<string>): Promise<void> | undefined {
    const subject = channel.subject(params)
    let followed = this.#followed.get(subject)
    if (followed === undefined) {
      const subscription = this.#bus.subscribe(channel, params as object, (event) =>
        this.#live(subject, event),
      )
      followed = new FollowedSubject(channel, subject, subscription)
      if (channel.stream !== undefined) {
        this.#streamOf(channel.stream)
        if (this.#bus.clustered) followed.establishing = this.#establish(followed, channel.stream)
      }
      this.#followed.set(subject, followed)
    }
    followed.holders += 1
    this.#delayedRelease.delete(followed)
    return followed.establishing ?? followed.subscription.confirmed
  }

  /** Lets go of a subject; some time after the last holder's release the subscription ends. */
  release(subject: string): void {
    const followed = this.#followed.get(subject)
    if (followed === undefined) return
    followed.holders -= 1
    if (followed.holders > 0) return
    this.#delayedRelease.add(followed)
  }

  /**
   * The last message of a held subject, for a holder who sends it on at once. Undefined where there is none, or
   * where a live message overtook the question: then the holder has something newer already. Waits until the
   * stream can be read.
   */
  async lastBeforeLive(subject: string, holder: object): Promise<Uint8Array | undefined> {
    const followed = this.#followed.get(subject)
    if (followed === undefined) return undefined
    const { version } = followed
    if (!followed.trusted && followed.channel.stream !== undefined) {
      // While the stream cannot be read, asking again adds nothing but one more to wait.
      if (this.#checks.paused && followed.isAwaitedBy(holder)) return undefined
      const read = followed.waitForLookup(holder)
      this.#checks.add(followed, { urgent: true })
      await read
    }
    const { last } = followed
    if (this.#followed.get(subject) !== followed || followed.version !== version) return undefined
    if (last?.givenTo instanceof Set) last.givenTo.add(holder)
    return last?.bytes
  }

  stop(): void {
    this.#stopped.abort()
    this.#delayedRelease.stop()
    this.#checks.stop()
    for (const followed of this.#followed.values()) this.#end(followed)
  }

  #end(followed: FollowedSubject<C>): void {
    this.#followed.delete(followed.subject)
    this.#checks.delete(followed)
    followed.subscription.unsubscribe()
    followed.settle()
  }

  #live(subject: string, event: InterestEvent): void {
    const followed = this.#followed.get(subject)
    if (followed === undefined) return
    const { last } = followed
    const givenTo = last?.givenTo && sameBytes(last.bytes, event.bytes) ? last.givenTo : undefined
    // A slice would keep the whole network buffer alive.
    followed.last = { bytes: new Uint8Array(event.bytes) }
    // Newer than whatever the stream kept while the connection was lost.
    followed.unchecked = undefined
    if (givenTo === 'everybody') return
    followed.version += 1
    followed.settle()
    this.#deliver(followed.channel, event, givenTo)
  }

  /**
   * In a cluster one server has confirmed the subscription, and the others learn of it a moment later. What they
   * are given before they do is found in the stream, behind the point it had reached when the holder was answered.
   */
  async #establish(followed: FollowedSubject<C>, stream: StreamDefinition): Promise<void> {
    const mark = this.#marks.get(stream) ?? this.#sharedMark(stream)
    await followed.subscription.confirmed
    followed.unchecked ??= await mark
    followed.establishing = undefined
    this.#settle([followed])
  }

  /** One look at a stream for all subjects that are subscribed to in a tick. */
  #sharedMark(definition: StreamDefinition): Promise<Checkpoint> {
    const mark = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      this.#marks.delete(definition)
      return this.#streamOf(definition).mark()
    })
    // Whoever asked may still wait for something else when this fails, and sees it after that.
    mark.catch(() => {})
    this.#marks.set(definition, mark)
    return mark
  }

  /** Looks at the stream again when all servers of a cluster know of the subscriptions. */
  #settle(subjects: readonly FollowedSubject<C>[]): void {
    const settlesAtMs = performance.now() + SETTLE_MS
    for (const followed of subjects) if (followed.unchecked) followed.settlesAtMs = settlesAtMs
    void delay(SETTLE_MS + 1, this.#stopped.signal).then(() => {
      for (const followed of subjects) {
        if (followed.unchecked !== undefined && this.#follows(followed)) this.#checks.add(followed)
      }
    })
  }

  /** What is remembered of a subject has to be compared with the stream before it is handed out again. */
  #recheck(followed: FollowedSubject<C>): void {
    const { stream } = followed.channel
    if (stream === undefined) return
    followed.unchecked ??= this.#streamOf(stream).checkpoint
    this.#checks.add(followed)
  }

  /** Reads a subject's stored message and acts on it. @throws while the stream cannot be read */
  async #check(followed: FollowedSubject<C>): Promise<void> {
    const { stream: definition } = followed.channel
    if (definition === undefined || !this.#follows(followed)) return
    // Read before the subscription stands, it would leave a gap between the two.
    await followed.subscription.confirmed
    const { version } = followed
    const stream = this.#streamOf(definition)
    const stored = await stream.last(followed.subject)
    if (!this.#follows(followed)) return
    // A live message came meanwhile: it is the last one.
    if (followed.version === version) this.#compare(followed, this.#valid(followed, stored), stream)
    followed.settle()
  }

  #compare(followed: FollowedSubject<C>, stored: StoredMessage | undefined, stream: Stream): void {
    const missing = stored !== undefined && followed.mayBeMissing(stored, stream.checkpoint.epoch)
    const known = followed.last
    const rechecked = followed.unchecked !== undefined
    if (performance.now() >= followed.settlesAtMs) followed.unchecked = undefined
    if (stored !== undefined && !(known && sameBytes(known.bytes, stored.bytes))) {
      if (missing) this.#late(followed, stored)
      else if (known === undefined) this.#remember(followed, { bytes: stored.bytes, givenTo: new Set() })
      // Else a live message was delivered that the stream has not kept: it is the newer one.
    }
    if (!rechecked) void this.#checkAgain(followed, stored)
  }

  /** Published before we subscribed, but stored after we looked: the second look finds it. */
  async #checkAgain(followed: FollowedSubject<C>, first: StoredMessage | undefined): Promise<void> {
    const { version } = followed
    await delay(SETTLE_MS, this.#stopped.signal)
    const { stream: definition } = followed.channel
    const current = () => this.#follows(followed) && followed.version === version
    if (definition === undefined || !current()) return
    try {
      const second = this.#valid(followed, await this.#streamOf(definition).last(followed.subject))
      if (second === undefined || second.sequence === first?.sequence || !current()) return
      if (followed.last === undefined || !sameBytes(followed.last.bytes, second.bytes)) {
        this.#late(followed, second)
      }
    } catch (error) {
      this.#warn(followed.subject, error)
      if (current()) this.#recheck(followed)
    }
  }

  #late(followed: FollowedSubject<C>, stored: StoredMessage): void {
    const decoded = followed.channel.decode(stored.subject, stored.bytes)
    if (!decoded.ok) return
    followed.version += 1
    this.#remember(followed, { bytes: stored.bytes, givenTo: 'everybody' })
    this.#deliver(followed.channel, { ...decoded.value, publishedAtMs: undefined })
  }

  /** Keeps what was read; after a moment no live copy of it is expected any more. */
  #remember(followed: FollowedSubject<C>, last: Last): void {
    followed.last = last
    void delay(SETTLE_MS, this.#stopped.signal).then(() => {
      if (followed.last === last) followed.last = { bytes: last.bytes }
    })
  }

  /** The stored message, if it is valid. A bad one that has taken the place of the last valid one is reported. */
  #valid({ channel }: FollowedSubject<C>, stored: StoredMessage | undefined): StoredMessage | undefined {
    if (stored === undefined) return undefined
    const decoded = channel.decode(stored.subject, stored.bytes)
    if (decoded.ok) return stored
    this.#bus.reject(stored.subject, `stored: ${decoded.reason}`)
    return undefined
  }

  #follows(followed: FollowedSubject<C>): boolean {
    return this.#followed.get(followed.subject) === followed && !this.#stopped.signal.aborted
  }

  #streamOf(definition: StreamDefinition): Stream {
    let stream = this.#streams.get(definition)
    if (stream === undefined) {
      stream = this.#bus.stream(definition)
      stream.keep()
      this.#streams.set(definition, stream)
      const forget = stream.onReplaced(() => {
        for (const followed of this.#followed.values()) {
          if (followed.channel.stream === definition) this.#recheck(followed)
        }
      })
      this.#stopped.signal.addEventListener('abort', forget)
    }
    return stream
  }

  /** Clients may ask often while a stream is away: the log is told now and then. */
  #warn(about: string, error: unknown): void {
    const now = performance.now()
    if (now - this.#warnedAtMs < WARN_INTERVAL_MS) return
    this.#warnedAtMs = now
    this.#bus.log.warn({ about, reason: reasonOf(error) }, 'a stream cannot be read')
  }
}
