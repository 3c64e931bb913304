import { Batch, type Entry } from './batch.ts'
import type { OverflowPolicy } from './outbox.ts'

/** What one topic has in a flush. */
export interface Pending {
  readonly pending: readonly Entry[]
}

/**
 * The subscribers to whom messages of the same topics are undelivered. They share one buffer, however many they are. Groups
 * make a tree: the children of a group have one topic more, of the same flush or of a later one. Topics are
 * added one after the other, so that while one is added each group has a single child.
 */
export class Group {
  readonly policy: OverflowPolicy
  /** The flush that made this group, as a number that grows; and whose flush it was. */
  readonly flush: number
  readonly owner: object
  readonly #parent: Group | undefined
  readonly #topic: Pending | undefined
  #child: Group | undefined
  #batch: Batch | undefined

  constructor(owner: object, policy: OverflowPolicy, flush: number, parent?: Group, topic?: Pending) {
    this.owner = owner
    this.policy = policy
    this.flush = flush
    this.#parent = parent
    this.#topic = topic
  }

  /** The group of those to whom this topic is undelivered besides. */
  with(topic: Pending, flush: number): Group {
    if (this.#child === undefined || this.#child.#topic !== topic)
      this.#child = new Group(this.owner, this.policy, flush, this, topic)
    return this.#child
  }

  /** Everything its subscribers get, in publish order. */
  get batch(): Batch {
    this.#batch ??= new Batch(this.#entries())
    return this.#batch
  }

  #entries(): readonly Entry[] {
    const lists: (readonly Entry[])[] = []
    for (let group: Group | undefined = this; group !== undefined; group = group.#parent)
      if (group.#topic !== undefined) lists.push(group.#topic.pending)
    const [only] = lists
    if (lists.length === 1 && only) return only
    return lists
      .reverse()
      .flat()
      .sort((a, b) => a.order - b.order)
  }
}
