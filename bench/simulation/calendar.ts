/** What is to happen, by steps of simulated time. Each entry is a number: millions of them must fit. */
export class Calendar {
  readonly #stepMs: number
  readonly #steps: number[][] = []
  size = 0

  constructor(stepMs: number) {
    this.#stepMs = stepMs
  }

  add(atMs: number, entry: number): void {
    const step = Math.floor(atMs / this.#stepMs)
    const entries = this.#steps[step]
    if (entries) entries.push(entry)
    else this.#steps[step] = [entry]
    this.size += 1
  }

  /** Takes what is due in the step that begins at this time. */
  take(atMs: number): readonly number[] {
    const step = Math.round(atMs / this.#stepMs)
    const entries = this.#steps[step] ?? []
    delete this.#steps[step]
    this.size -= entries.length
    return entries
  }
}
