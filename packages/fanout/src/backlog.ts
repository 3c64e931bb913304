import type { Outbox } from './outbox.ts'

/** What a flush has published, until the last of its subscribers has got it. */
export interface Flushed {
  readonly bytes: number
  readonly publishedAtMs: readonly number[]
  readonly onWritten: readonly (() => void)[]
}

/** Taken subscribers are let go of when they are so many, and half of the list. */
const COMPACT_MIN = 1_024

/**
 * Subscribers that wait for their turn to be delivered to: first come, first served. Each waits at most once,
 * whatever else is published for it meanwhile.
 */
export class Backlog {
  #waiting: Outbox[] = []
  #next = 0
  /** Flushes not delivered in full, and how many subscribers must have had their turn until they are. */
  #flushes: { readonly flushed: Flushed; readonly upTo: number }[] = []
  #pushed = 0
  #served = 0
  #bytes = 0

  /** How many subscribers wait. */
  get size(): number {
    return this.#pushed - this.#served
  }

  /** Bytes of the messages that not everybody has got yet, each counted once. */
  get bytes(): number {
    return this.#bytes
  }

  push(outbox: Outbox): void {
    this.#pushed += 1
    this.#waiting.push(outbox)
  }

  /** Everybody to whom this flush is undelivered has been pushed. */
  add(flushed: Flushed): void {
    this.#bytes += flushed.bytes
    this.#flushes.push({ flushed, upTo: this.#pushed })
  }

  /** Delivers to the next ones; answers the flushes that are delivered in full by that. */
  serve(max: number): Flushed[] {
    for (let left = max; left > 0 && this.size > 0; left--) {
      const outbox = this.#waiting[this.#next++] as Outbox
      this.#served += 1
      outbox.settle()
    }
    if (this.#next >= COMPACT_MIN && this.#next * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    const done: Flushed[] = []
    for (let first = this.#flushes[0]; first && first.upTo <= this.#served; first = this.#flushes[0]) {
      this.#flushes.shift()
      this.#bytes -= first.flushed.bytes
      done.push(first.flushed)
    }
    return done
  }
}
