import { Batch, type Entry } from './batch.ts'
import { Group } from './group.ts'
import type { Outbox, OverflowPolicy } from './outbox.ts'

export interface TopicsOptions {
  readonly policy: OverflowPolicy
  /** A topic's messages are flushed early when they pass this many bytes in one tick. */
  readonly flushBytesMax?: number
  /** Calls the flush at the end of the tick; default: `setImmediate`, when all input of the tick is read. */
  readonly schedule?: (flush: () => void) => void
  /** Told after a flush when the flushed messages had been published, where their publishers said so. */
  readonly onFlushed?: (publishedAtMs: readonly number[]) => void
}

interface Topic {
  readonly name: string
  readonly subscribers: Set<Outbox>
  pending: Entry[]
}

/** What one topic has to flush. */
interface Pending {
  readonly subscribers: ReadonlySet<Outbox>
  readonly pending: readonly Entry[]
}

function takePending(topic: Topic): Pending {
  const { subscribers, pending } = topic
  topic.pending = []
  return { subscribers, pending }
}

/**
 * Topics and their subscribers. Messages published within one tick of the event loop are written together: one
 * write per socket, one buffer for all subscribers of the same topics, in publish order. When nothing is
 * published nothing runs.
 */
export class Topics {
  readonly #policy: OverflowPolicy
  readonly #flushBytesMax: number
  readonly #schedule: (flush: () => void) => void
  readonly #onFlushed: TopicsOptions['onFlushed']
  readonly #topics = new Map<string, Topic>()
  readonly #flush = () => this.flush()
  #dirty: Topic[] = []
  #publishedAtMs: number[] = []
  #pendingBytes = 0
  #order = 0
  #scheduled = false

  constructor(options: TopicsOptions) {
    this.#policy = options.policy
    this.#flushBytesMax = options.flushBytesMax ?? 1_048_576
    this.#schedule = options.schedule ?? setImmediate
    this.#onFlushed = options.onFlushed
  }

  /** How many topics have a subscriber. */
  get size(): number {
    return this.#topics.size
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
    topic.subscribers.delete(outbox)
    if (topic.subscribers.size === 0) this.#topics.delete(name)
  }

  /** Sends a prepared frame to the topic's subscribers at the end of this tick. */
  publish(name: string, frame: Uint8Array, publishedAtMs?: number): void {
    const topic = this.#topics.get(name)
    if (topic === undefined) return
    if (topic.pending.length === 0) this.#dirty.push(topic)
    topic.pending.push({ frame, key: name, order: this.#order++ })
    if (publishedAtMs !== undefined) this.#publishedAtMs.push(publishedAtMs)
    this.#pendingBytes += frame.length
    if (this.#pendingBytes > this.#flushBytesMax) this.flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      this.#schedule(this.#flush)
    }
  }

  /** Sends a prepared frame at once to all subscribers but some, who have it already. */
  publishExcept(name: string, frame: Uint8Array, except: ReadonlySet<object>): void {
    const topic = this.#topics.get(name)
    if (topic === undefined) return
    this.flush()
    const batch = new Batch([{ frame, key: name, order: this.#order++ }])
    for (const outbox of topic.subscribers) if (!except.has(outbox)) outbox.deliver(batch, this.#policy)
  }

  /** Writes what is pending. Called at the end of the tick; calling it earlier is safe. */
  flush(): void {
    this.#scheduled = false
    if (this.#dirty.length === 0) return
    const dirty = this.#dirty.map(takePending)
    this.#dirty = []
    this.#pendingBytes = 0
    const [only] = dirty
    if (dirty.length === 1 && only) this.#flushOne(only)
    else this.#flushSeveral(dirty)
    const publishedAtMs = this.#publishedAtMs
    if (publishedAtMs.length > 0) {
      this.#publishedAtMs = []
      this.#onFlushed?.(publishedAtMs)
    }
  }

  #flushOne(topic: Pending): void {
    const batch = new Batch(topic.pending)
    for (const outbox of topic.subscribers) outbox.deliver(batch, this.#policy)
  }

  #flushSeveral(topics: readonly Pending[]): void {
    const everybody = new Group()
    const receivers: Outbox[] = []
    for (const topic of topics) {
      for (const outbox of topic.subscribers) {
        if (outbox.group === undefined) receivers.push(outbox)
        outbox.group = (outbox.group ?? everybody).with(topic)
      }
    }
    for (const outbox of receivers) {
      const group = outbox.group
      outbox.group = undefined
      if (group) outbox.deliver(group.batch, this.#policy)
    }
  }
}
