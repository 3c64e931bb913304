import { ClientError } from './errors.ts'

export interface StreamOptions {
  /** Values that may wait for the loop that takes them. */
  readonly capacity?: number
  /** What becomes of one value too many. */
  readonly whenFull?: 'drop_oldest' | 'fail'
}

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void
  reject(error: unknown): void
}

const DONE = { done: true, value: undefined } as const

/**
 * Values for one `for await` loop, with a bounded queue between them and it. Leaving the loop, or {@link close},
 * ends it.
 */
export class EventStream<T> implements AsyncIterableIterator<T, undefined> {
  /** Values that were dropped because the loop was too slow. */
  dropped = 0
  readonly #capacity: number
  readonly #fails: boolean
  readonly #onClose: () => void
  readonly #queue: T[] = []
  readonly #waiting: Waiting<T>[] = []
  #ended = false
  #error: unknown
  #onRoom: (() => void)[] = []

  constructor({ capacity = 1_000, whenFull = 'drop_oldest' }: StreamOptions, onClose: () => void) {
    this.#capacity = Math.max(1, capacity)
    this.#fails = whenFull === 'fail'
    this.#onClose = onClose
  }

  /** Undefined where another value may be pushed; else settles when that may be so. @internal */
  room(): Promise<void> | undefined {
    if (this.#ended || this.#queue.length < this.#capacity) return undefined
    return new Promise((resolve) => this.#onRoom.push(resolve))
  }

  /** @internal */
  push(value: T): void {
    if (this.#ended) return
    const waiting = this.#waiting.shift()
    if (waiting) return waiting.resolve({ done: false, value })
    if (this.#queue.length >= this.#capacity) {
      this.dropped += 1
      if (this.#fails) {
        return this.end(
          new ClientError('queue_full', `the loop is more than ${this.#capacity} values behind`),
        )
      }
      this.#queue.shift()
    }
    this.#queue.push(value)
  }

  /** What is queued is still handed out; then the loop ends, or throws the error. @internal */
  end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    for (const waiting of this.#waiting.splice(0)) this.#finish(waiting)
    this.#tellRoom()
    this.#onClose()
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject }
      if (this.#queue.length > 0) {
        resolve({ done: false, value: this.#queue.shift() as T })
        this.#tellRoom()
      } else if (this.#ended) this.#finish(waiting)
      else this.#waiting.push(waiting)
    })
  }

  /** Lets go of what is queued, and of the subscription. */
  close(): void {
    this.#queue.length = 0
    this.end()
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.close()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #tellRoom(): void {
    for (const tell of this.#onRoom.splice(0)) tell()
  }

  #finish({ resolve, reject }: Waiting<T>): void {
    if (this.#error === undefined) return resolve(DONE)
    reject(this.#error)
    this.#error = undefined
  }
}
