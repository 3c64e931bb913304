import { createHash } from 'node:crypto'

/**
 * A publish that is sent as a request comes twice: by itself, with the subject to answer on, and through the stream,
 * to whichever instance works on it. Every instance remembers whom to answer, under a digest of what was published;
 * the one that has worked on it answers. Two publishes with the very same bytes at the same time cannot be told apart:
 * each gets an answer, perhaps the other's, unless they carry different `Nats-Msg-Id` headers.
 */
export class Answers<A> {
  readonly #waiting = new Map<string, Waiting<A>>()
  readonly #options: AnswersOptions<A>

  constructor(options: AnswersOptions<A>) {
    this.#options = options
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Somebody waits for the answer. */
  expect(digest: string, replyTo: string, nowMs: number): void {
    const entry = this.#entry(digest, nowMs)
    if (entry.answer === undefined) return void entry.replyTo.push(replyTo)
    this.#options.answer(replyTo, entry.answer)
    if (!entry.identified) this.#waiting.delete(digest)
  }

  /**
   * The answer is there: for all who wait, or else for one whose request is only just arriving. What was published
   * with an id of its own is not worked on twice: whoever asks again gets the same answer.
   */
  settle(digest: string, answer: A, nowMs: number, identified = false): void {
    const entry = this.#entry(digest, nowMs)
    const waiting = entry.replyTo.splice(0)
    for (const replyTo of waiting) this.#options.answer(replyTo, answer)
    if (waiting.length > 0 && !identified) return void this.#waiting.delete(digest)
    entry.answer = answer
    entry.identified = identified
    // Without an id for a short while: the same may be published again, and is worked on anew.
    entry.untilMs = nowMs + (identified ? this.#options.waitMs : this.#options.answeredMs)
  }

  /** Forgets what nobody has answered in time. */
  sweep(nowMs: number): void {
    for (const [digest, { untilMs }] of this.#waiting) if (untilMs <= nowMs) this.#waiting.delete(digest)
  }

  #entry(digest: string, nowMs: number): Waiting<A> {
    let entry = this.#waiting.get(digest)
    if (entry !== undefined && entry.untilMs > nowMs) return entry
    entry = { replyTo: [], answer: undefined, identified: false, untilMs: nowMs + this.#options.waitMs }
    this.#waiting.delete(digest)
    this.#waiting.set(digest, entry)
    if (this.#waiting.size > this.#options.waitingMax) {
      for (const oldest of this.#waiting.keys()) {
        this.#waiting.delete(oldest)
        break
      }
    }
    return entry
  }
}

interface Waiting<A> {
  readonly replyTo: string[]
  answer: A | undefined
  identified: boolean
  untilMs: number
}

export interface AnswersOptions<A> {
  readonly answer: (replyTo: string, answer: A) => void
  /** How long an answer is waited for. */
  readonly waitMs: number
  /** How long an answer is kept for a request that arrives behind it. */
  readonly answeredMs: number
  readonly waitingMax: number
}

export interface Published {
  readonly subject: string
  readonly bytes: Uint8Array
  header(name: string): string | undefined
}

export const DELIVERY_HEADER = 'Carillon-Delivery'

export function digestOf({ subject, bytes, header }: Published): string {
  return createHash('sha1')
    .update(`${subject}\n${header('Nats-Msg-Id') ?? ''}\n${header(DELIVERY_HEADER) ?? ''}\n`)
    .update(bytes)
    .digest('base64')
}
