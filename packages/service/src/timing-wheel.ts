import type { Clock } from './clock.ts'

/** Something that falls due once, at a monotonic time that may be moved. */
export interface Timed {
  due(nowMs: number): void
}

/** A node of a ring: a deadline, or the head of a slot. */
class Node {
  previous: Node = this
  next: Node = this

  get linked(): boolean {
    return this.next !== this
  }

  insertBefore(head: Node): void {
    this.previous = head.previous
    this.next = head
    head.previous.next = this
    head.previous = this
  }

  unlink(): void {
    this.previous.next = this.next
    this.next.previous = this.previous
    this.previous = this
    this.next = this
  }
}

/** When something falls due, by the monotonic clock. */
export class Deadline extends Node {
  readonly timed: Timed
  atMs = 0

  constructor(timed: Timed) {
    super()
    this.timed = timed
  }
}

const TICK_MS = 100
const SLOTS = 1_024
/** Nothing that a process does by itself keeps a tick waiting for so long. */
const PAUSE_MS = 1_000

/**
 * One timer for everything periodic in a process: idle limits, heartbeats, leases, token expiry. Setting,
 * moving and clearing a deadline take constant time, and a tick looks at one slot. Deadlines further away than
 * one turn stay in their slot until their turn comes. Accurate to one tick of 100 ms, never early.
 */
export class TimingWheel {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #slots: readonly Node[] = Array.from({ length: SLOTS }, () => new Node())
  #size = 0
  #tick: number
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
    this.#tick = tickOf(clock.monotonic())
  }

  /** How many deadlines are set. */
  get size(): number {
    return this.#size
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#turn(), TICK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Sets or moves a deadline, `delayMs` from now. */
  set(deadline: Deadline, delayMs: number): void {
    this.clear(deadline)
    deadline.atMs = this.#clock.monotonic() + delayMs
    // The slot of the tick after: by then the moment has passed, so nothing fires early.
    this.#insert(deadline, Math.max(tickOf(deadline.atMs), this.#tick) + 1)
    this.#size += 1
  }

  clear(deadline: Deadline): void {
    if (!deadline.linked) return
    deadline.unlink()
    this.#size -= 1
  }

  /**
   * After a pause of the whole process (SIGSTOP, a suspended machine) everything would fall due at once, before
   * what arrived meanwhile has been read: clients would be closed for a silence that was ours. The sockets are
   * read first.
   */
  #turn(): void {
    const lateMs = (tickOf(this.#clock.monotonic()) - this.#tick) * TICK_MS
    if (lateMs > PAUSE_MS) setImmediate(() => setImmediate(() => this.advance()))
    else this.advance()
  }

  /** Turns the wheel to the present and fires what is due. */
  advance(): void {
    const now = this.#clock.monotonic()
    const target = tickOf(now)
    // A jump of more than one turn visits every slot once.
    const first = Math.max(this.#tick + 1, target - SLOTS + 1)
    if (target > this.#tick) this.#tick = target
    for (let tick = first; tick <= target; tick++) this.#fire(tick, now)
  }

  #fire(tick: number, now: number): void {
    const slot = this.#slots[tick % SLOTS] as Node
    if (!slot.linked) return
    // Moved aside first: a deadline that fires may clear or set any other one, those due now included.
    const due = new Node()
    for (let node = slot.next; node !== slot; ) {
      const { next } = node
      if ((node as Deadline).atMs <= now) {
        node.unlink()
        node.insertBefore(due)
      }
      node = next
    }
    while (due.linked) {
      const deadline = due.next as Deadline
      this.clear(deadline)
      deadline.timed.due(now)
    }
  }

  #insert(deadline: Deadline, tick: number): void {
    deadline.insertBefore(this.#slots[tick % SLOTS] as Node)
  }
}

function tickOf(ms: number): number {
  return Math.floor(ms / TICK_MS)
}
