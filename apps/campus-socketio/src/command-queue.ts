/** Runs one connection's commands one after another: the order of its answers is that of its requests. */
export class CommandQueue {
  readonly #waitingMax: number
  readonly #failed: (error: unknown) => void
  #waiting = 0
  #last: Promise<void> = Promise.resolve()

  constructor(waitingMax: number, failed: (error: unknown) => void) {
    this.#waitingMax = waitingMax
    this.#failed = failed
  }

  /** Answers false, and does nothing, where too many wait already. */
  push(task: () => Promise<void>): boolean {
    if (this.#waiting >= this.#waitingMax) return false
    this.append(task)
    return true
  }

  /** A task that must run whatever waits: what is held is given back. */
  append(task: () => Promise<void>): void {
    this.#waiting += 1
    this.#last = this.#last.then(task).catch(this.#failed)
    void this.#last.then(() => {
      this.#waiting -= 1
    })
  }
}
