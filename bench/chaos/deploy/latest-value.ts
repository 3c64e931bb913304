import { eventually } from '@carillon/testkit'
import type { Outcome } from './traffic.ts'

const ARRIVE_MS = 30_000

/** Publishes rising numbers to topics, and knows which of them each client has seen. */
export class LatestValue {
  readonly #topics: number
  readonly #publish: (topic: number, value: number) => void
  readonly #last: number[]
  readonly #seen: {
    readonly topic: number
    readonly values: Set<number>
    first: number | undefined
    last: number
  }[] = []
  readonly #backwards: string[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(topics: number, publish: (topic: number, value: number) => void) {
    this.#topics = topics
    this.#publish = publish
    this.#last = new Array(topics).fill(0)
  }

  /** Client number so-and-so follows one of the topics; answers which, and what to call with each value it gets. */
  follow(client: number): { readonly topic: number; readonly saw: (value: number) => void } {
    const topic = client % this.#topics
    const seen = { topic, values: new Set<number>(), first: undefined as number | undefined, last: 0 }
    this.#seen.push(seen)
    return {
      topic,
      saw: (value) => {
        // After a reconnect the last value comes once more; an older one than that would be wrong.
        if (value < seen.last) this.#backwards.push(`client ${client} got ${value} after ${seen.last}`)
        seen.first ??= value
        seen.last = value
        seen.values.add(value)
      },
    }
  }

  start(everyMs: number): void {
    this.#timer = setInterval(() => {
      for (let topic = 0; topic < this.#topics; topic++) this.#publishNext(topic)
    }, everyMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** One last value for each topic, which everybody must have in the end. */
  async finish(): Promise<Outcome> {
    this.stop()
    for (let topic = 0; topic < this.#topics; topic++) this.#publishNext(topic)
    const behind = () => this.#seen.filter(({ topic, last }) => last !== this.#last[topic])
    await eventually(() => behind().length === 0, ARRIVE_MS).catch(() => {})
    let expected = 0
    let missed = 0
    for (const { topic, values, first } of this.#seen) {
      const published = (this.#last[topic] as number) - (first ?? 1) + 1
      expected += published
      missed += published - values.size
    }
    const stale = behind().length
    return {
      expected,
      missed,
      broken: [
        ...(stale > 0 ? [`${stale} clients do not have the last value of their topic`] : []),
        ...this.#backwards.slice(0, 5),
      ],
    }
  }

  #publishNext(topic: number): void {
    const value = (this.#last[topic] as number) + 1
    this.#last[topic] = value
    this.#publish(topic, value)
  }
}
