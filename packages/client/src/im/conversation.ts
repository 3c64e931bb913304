import type { Message } from './im.ts'

/** Messages that came too early and wait for those before them; what is beyond is fetched when its turn comes. */
const EARLY_MAX = 500
const EARLY_OF_ALL_MAX = 5_000

/** How many messages all conversations together may still let wait. */
export class EarlyBudget {
  left = EARLY_OF_ALL_MAX
}

/** Places that are asked for at once; the server takes 200. */
const FETCH_MAX = 100

/** Marks a place at which there is nothing for this user. */
const NOTHING = Symbol('nothing')

/**
 * The order of one conversation: hands out each place once, without a gap, whatever comes in whatever order.
 * Numbers are safe as such: they count messages.
 */
export class Conversation {
  readonly convId: string
  /** The last place that was handed out; undefined until it is known where to begin. */
  position: number | undefined
  /** The highest place that is known to be there. */
  newest = 0
  readonly #early = new Map<number, Message | typeof NOTHING>()

  readonly #budget: EarlyBudget

  constructor(convId: string, position?: number, budget = new EarlyBudget()) {
    this.convId = convId
    this.position = position
    this.#budget = budget
  }

  /** A message that was pushed, or fetched because it was missing. */
  add(message: Message, wasMissing = false): void {
    const seq = Number(message.seq)
    if (!Number.isSafeInteger(seq) || seq <= 0) return
    // Without a known beginning, the first message that comes is the first one.
    this.position ??= seq - 1
    this.newest = Math.max(this.newest, seq)
    const isFull = this.#early.size >= EARLY_MAX || this.#budget.left <= 0
    if (seq <= this.position || (isFull && !wasMissing)) return
    if (!this.#early.has(seq)) this.#budget.left -= 1
    this.#early.set(seq, isPlaceholder(message) ? NOTHING : message)
  }

  /** What the server says: the user sees the places above `minSeq`, and `maxSeq` is the highest. */
  reaches(minSeq: number, maxSeq: number): void {
    // Zeros: the user is no member.
    if (!Number.isSafeInteger(maxSeq) || !Number.isSafeInteger(minSeq) || maxSeq <= 0) return
    this.position = Math.max(this.position ?? maxSeq, Math.min(minSeq, maxSeq))
    this.newest = Math.max(this.newest, maxSeq)
    for (const seq of this.#early.keys()) if (seq <= this.position) this.#drop(seq)
  }

  /** Lets go of what waits. */
  clear(): void {
    for (const seq of [...this.#early.keys()]) this.#drop(seq)
  }

  /** The next message, if it is here. The place counts as handed out. */
  take(): Message | undefined {
    while (this.position !== undefined) {
      const next = this.#early.get(this.position + 1)
      if (next === undefined) return undefined
      this.position += 1
      this.#drop(this.position)
      if (next !== NOTHING) return next
    }
    return undefined
  }

  /** The places to fetch next, in order; none where nothing is missing. */
  missing(): number[] {
    const seqs: number[] = []
    const { position } = this
    if (position === undefined) return seqs
    for (let seq = position + 1; seq <= this.newest && seq <= position + FETCH_MAX; seq++) {
      if (!this.#early.has(seq)) seqs.push(seq)
    }
    return seqs
  }

  #drop(seq: number): void {
    if (this.#early.delete(seq)) this.#budget.left += 1
  }
}

/** What is not there, or was before the user joined. */
function isPlaceholder({ senderId, serverTime, contentType }: Message): boolean {
  return senderId === '' && serverTime === '0' && contentType === 0
}
