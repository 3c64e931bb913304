interface Waiting {
  readonly action: () => void
  ready: boolean
}

/**
 * Actions in the order in which they were asked for, though some have to wait for a promise to be kept first: one
 * connection's answers come in the order of its requests. Where nothing waits, an action is done at once.
 */
export class OrderedActions {
  readonly #waiting: Waiting[] = []

  /** How many actions wait. */
  get size(): number {
    return this.#waiting.length
  }

  /** Does it after those before it, and not before the promise is kept. */
  add(action: () => void, after?: Promise<void>): void {
    if (after === undefined && this.#waiting.length === 0) return action()
    const waiting = { action, ready: after === undefined }
    this.#waiting.push(waiting)
    void after?.then(() => {
      waiting.ready = true
      this.#run()
    })
  }

  /**
   * Does what waits now, whether its promise is kept or not: the connection has ended. What was to be undone must not
   * be forgotten.
   */
  finish(): void {
    for (const { action } of this.#waiting.splice(0)) action()
  }

  #run(): void {
    while (this.#waiting[0]?.ready) this.#waiting.shift()?.action()
  }
}
