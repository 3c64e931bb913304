import type { RequestLimit } from './limits.ts'

/** Requests under way, of a connection, of a user, or of the instance. */
export class RequestBudget {
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
  }
}
