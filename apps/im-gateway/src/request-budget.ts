import type { RequestLimit } from './limits.ts'

/** Requests under way, of a connection, of a user, or of the instance. */
export class RequestBudget {
  /** Called when nothing is under way any more. */
  whenIdle: (() => void) | undefined
  #count = 0
  #bytes = 0

  get count(): number {
    return this.#count
  }

  hasRoom(bytes: number, limit: RequestLimit): boolean {
    return this.#count < limit.count && this.#bytes + bytes <= limit.bytes
  }

  take(bytes: number): void {
    this.#count += 1
    this.#bytes += bytes
  }

  release(bytes: number): void {
    this.#count -= 1
    this.#bytes -= bytes
    if (this.#count === 0) this.whenIdle?.()
  }
}

/** The budgets of users with a connection, and of those who had one when they made a request that is under way. */
export class UserBudgets {
  readonly #budgets = new Map<string, RequestBudget>()

  get size(): number {
    return this.#budgets.size
  }

  /** The budget of a user who connects. */
  of(userId: string): RequestBudget {
    const budget = this.#budgets.get(userId) ?? new RequestBudget()
    budget.whenIdle = undefined
    this.#budgets.set(userId, budget)
    return budget
  }

  /** The user's last connection has ended. */
  left(userId: string): void {
    const budget = this.#budgets.get(userId)
    if (budget === undefined) return
    const forget = () => void this.#budgets.delete(userId)
    if (budget.count === 0) forget()
    else budget.whenIdle = forget
  }
}
