import { seeded } from '../random.ts'

/** Random choices that a seed repeats. */
export class Choices {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = seeded(seed)
  }

  /** From 0 to 1. */
  next(): number {
    return this.#next()
  }

  between(least: number, most: number): number {
    return least + Math.floor(this.#next() * (most - least + 1))
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#next() * items.length)] as T
  }
}
