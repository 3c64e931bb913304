import { Backlog, type Flushed } from './backlog.ts'
import { Batch, type Entry } from './batch.ts'
import { Group, type Pending } from './group.ts'
import type { Outbox, OverflowPolicy } from './outbox.ts'

export interface TopicsOptions {
  readonly policy: OverflowPolicy
  /** Messages are delivered at once when those that not everybody has got pass this many bytes together. */
  readonly flushBytesMax?: number
  /** Deliveries of one turn of the event loop, until other events have theirs. */
  readonly sliceMax?: number
  /** Calls back at the end of this turn of the event loop; default: `setImmediate`, when all its input is read. */
  readonly schedule?: (callback: () => void) => void
  /** Told, once a flush is delivered, when its messages had been published, where their publishers said so. */
  readonly onFlushed?: (publishedAtMs: readonly number[]) => void
}

export interface PublishOptions {
  /** When the publisher sent it, in milliseconds since the epoch, for the measure of latency. */
  readonly publishedAtMs?: number | undefined
  /** Outboxes that have been given this message already. */
  readonly except?: ReadonlySet<object> | undefined
  /** Called when the sockets of all subscribers have been given it, or at once where there is no subscriber. */
  readonly onWritten?: (() => void) | undefined
}

interface Topic {
  readonly name: string
  readonly subscribers: Set<Outbox>
  pending: Entry[]
}

/** What one topic has to flush, and to whom. */
interface TopicFlush extends Pending {
  readonly subscribers: ReadonlySet<Outbox>
}

function takePending(topic: Topic): TopicFlush {
  const { subscribers, pending } = topic
  topic.pending = []
  return { subscribers, pending }
}

const NOBODY: ReadonlySet<Outbox> = new Set()

/** Some milliseconds of writing. */
const SLICE_MAX = 1_000

/**
 * Topics and their subscribers. Messages published within one tick of the event loop are written together: one
 * write per socket, one buffer for all subscribers of the same topics, in publish order. When nothing is
 * published nothing runs.
 *
 * A flush for many subscribers is delivered in slices, one for each turn of the event loop, so that timers, reads
 * and smaller flushes have their turns between them. What is flushed while somebody waits for a
 * slice is added to what they wait for, and all of it is one write: the order of a connection's messages is the publish order in any case.
 */
export class Topics {
  readonly #policy: OverflowPolicy
  readonly #flushBytesMax: number
  readonly #sliceMax: number
  readonly #schedule: (callback: () => void) => void
  readonly #onFlushed: TopicsOptions['onFlushed']
  readonly #topics = new Map<string, Topic>()
  readonly #backlog = new Backlog()
  readonly #flush = () => this.flush()
  readonly #serve = () => this.#serveSlice()
  #dirty: Topic[] = []
  #publishedAtMs: number[] = []
  #onWritten: (() => void)[] = []
  #pendingBytes = 0
  #order = 0
  #scheduled = false
  #serving = false
  #flushes = 0

  constructor(options: TopicsOptions) {
    this.#policy = options.policy
    this.#flushBytesMax = options.flushBytesMax ?? 1_048_576
    this.#sliceMax = options.sliceMax ?? SLICE_MAX
    this.#schedule = options.schedule ?? setImmediate
    this.#onFlushed = options.onFlushed
  }

  /** How many topics have a subscriber. */
  get size(): number {
    return this.#topics.size
  }

  /** Whether the topic has a subscriber. */
  hasSubscribers(name: string): boolean {
    return this.#topics.has(name)
  }

  /** The topic's subscribers, in the order in which they came. */
  subscribers(name: string): ReadonlySet<Outbox> {
    return this.#topics.get(name)?.subscribers ?? NOBODY
  }

  has(name: string, outbox: Outbox): boolean {
    return this.#topics.get(name)?.subscribers.has(outbox) ?? false
  }

  /** Adds a subscriber; it gets what is published from now on. Twice is once. */
  subscribe(name: string, outbox: Outbox): void {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      topic = { name, subscribers: new Set(), pending: [] }
      this.#topics.set(name, topic)
    }
    // What was published before goes to those who were there then.
    if (topic.pending.length > 0) this.flush()
    topic.subscribers.add(outbox)
  }

  /** Removes a subscriber; what was published before is still sent to it. */
  unsubscribe(name: string, outbox: Outbox): void {
    const topic = this.#topics.get(name)
    if (topic === undefined) return
    if (topic.pending.length > 0) this.flush()
    outbox.settle()
    topic.subscribers.delete(outbox)
    if (topic.subscribers.size === 0) this.#topics.delete(name)
  }

  /**
   * Sends a prepared frame to the topic's subscribers: at the end of this tick; or at once where some of them, who
   * have it already, are left out.
   */
  publish(name: string, frame: Uint8Array, options: PublishOptions = {}): void {
    const { publishedAtMs, except, onWritten } = options
    const topic = this.#topics.get(name)
    if (topic === undefined) return onWritten?.()
    if (except !== undefined) {
      this.#publishExcept(topic, frame, except)
      return onWritten?.()
    }
    if (topic.pending.length === 0) this.#dirty.push(topic)
    topic.pending.push({ frame, key: name, order: this.#order++ })
    if (publishedAtMs !== undefined) this.#publishedAtMs.push(publishedAtMs)
    if (onWritten !== undefined) this.#onWritten.push(onWritten)
    this.#pendingBytes += frame.length
    if (this.#pendingBytes + this.#backlog.bytes > this.#flushBytesMax) this.#flushAll()
    else if (!this.#scheduled) {
      this.#scheduled = true
      this.#schedule(this.#flush)
    }
  }

  #publishExcept(topic: Topic, frame: Uint8Array, except: ReadonlySet<object>): void {
    this.flush()
    const batch = new Batch([{ frame, key: topic.name, order: this.#order++ }])
    for (const outbox of topic.subscribers) {
      if (except.has(outbox)) continue
      outbox.settle()
      outbox.deliver(batch, this.#policy)
    }
  }

  /** Writes what is pending, to many subscribers in slices. Called at the end of the tick; calling it earlier is safe. */
  flush(): void {
    this.#scheduled = false
    if (this.#dirty.length === 0) return
    const dirty = this.#dirty.map(takePending)
    const flushed = {
      bytes: this.#pendingBytes,
      publishedAtMs: this.#publishedAtMs,
      onWritten: this.#onWritten,
    }
    this.#dirty = []
    this.#pendingBytes = 0
    if (flushed.publishedAtMs.length > 0) this.#publishedAtMs = []
    if (flushed.onWritten.length > 0) this.#onWritten = []
    const waiting = this.#backlog.size
    const [only] = dirty
    if (dirty.length === 1 && only && waiting === 0 && only.subscribers.size <= this.#sliceMax)
      this.#flushOne(only)
    else this.#flushSeveral(dirty)
    if (this.#backlog.size === waiting) return this.#delivered(flushed)
    this.#backlog.add(flushed)
    this.#scheduleSlice()
  }

  #flushOne(topic: TopicFlush): void {
    const batch = new Batch(topic.pending)
    for (const outbox of topic.subscribers) outbox.deliver(batch, this.#policy)
  }

  /**
   * Notes down what is undelivered to each subscriber, then delivers: to the subscribers of small topics now, as far as one
   * slice goes, and to all others in their turn.
   */
  #flushSeveral(topics: TopicFlush[]): void {
    const flush = ++this.#flushes
    const backlogEmpty = this.#backlog.size === 0
    const everybody = new Group(this, this.#policy, flush)
    const now: Outbox[] = []
    topics.sort((a, b) => a.subscribers.size - b.subscribers.size)
    for (const topic of topics) {
      // Those of a large topic wait behind those who wait already: else the first would be served again and again.
      const small = backlogEmpty || topic.subscribers.size <= this.#sliceMax
      for (const outbox of topic.subscribers) {
        if (outbox.undelivered !== undefined && outbox.undelivered.owner !== this) outbox.settle()
        const { undelivered } = outbox
        outbox.undelivered = (undelivered ?? everybody).with(topic, flush)
        if (undelivered?.flush === flush) continue
        if (small && now.length < this.#sliceMax) now.push(outbox)
        else if (undelivered === undefined) this.#backlog.push(outbox)
      }
    }
    for (const outbox of now) outbox.settle()
  }

  /** Writes everything, however long it takes: what is kept for later is bounded. */
  #flushAll(): void {
    this.flush()
    for (const flushed of this.#backlog.serve(Number.POSITIVE_INFINITY)) this.#delivered(flushed)
  }

  #scheduleSlice(): void {
    if (this.#serving) return
    this.#serving = true
    this.#schedule(this.#serve)
  }

  #serveSlice(): void {
    this.#serving = false
    for (const flushed of this.#backlog.serve(this.#sliceMax)) this.#delivered(flushed)
    if (this.#backlog.size > 0) this.#scheduleSlice()
  }

  #delivered({ publishedAtMs, onWritten }: Flushed): void {
    if (publishedAtMs.length > 0) this.#onFlushed?.(publishedAtMs)
    for (const written of onWritten) written()
  }
}
