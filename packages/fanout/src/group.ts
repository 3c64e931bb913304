import { Batch, type Entry } from './batch.ts'

/** What one topic has to flush. */
interface Pending {
  readonly pending: readonly Entry[]
}

/**
 * The subscribers that get messages of the same topics in one flush. They share one buffer, however many they
 * are. Groups make a tree: the children of a group have one topic more. Topics are added in one order for all,
 * so that while one is added each group has a single child.
 */
export class Group {
  readonly #parent: Group | undefined
  readonly #topic: Pending | undefined
  #child: Group | undefined
  #batch: Batch | undefined

  constructor(parent?: Group, topic?: Pending) {
    this.#parent = parent
    this.#topic = topic
  }

  /** The group of those who get this topic besides. */
  with(topic: Pending): Group {
    if (this.#child === undefined || this.#child.#topic !== topic) this.#child = new Group(this, topic)
    return this.#child
  }

  /** Everything its subscribers get, in publish order. */
  get batch(): Batch {
    this.#batch ??= new Batch(this.#entries())
    return this.#batch
  }

  #entries(): readonly Entry[] {
    const own = this.#topic?.pending ?? []
    const inherited = this.#parent?.batch.entries ?? []
    return inherited.length === 0 ? own : merge(inherited, own)
  }
}

/** Two lists in publish order as one. */
function merge(a: readonly Entry[], b: readonly Entry[]): readonly Entry[] {
  const merged: Entry[] = []
  let i = 0
  for (const entry of b) {
    for (let next = a[i]; next !== undefined && next.order < entry.order; next = a[++i]) merged.push(next)
    merged.push(entry)
  }
  while (i < a.length) merged.push(a[i++] as Entry)
  return merged
}
