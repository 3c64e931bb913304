import type { Connection } from './connection.ts'

/** All open connections of a listener, by user and by address. */
export class Registry {
  readonly #all = new Set<Connection>()
  /** Most users have one connection: a set of its own for each would weigh more than the rest of this. */
  readonly #byUser = new Map<string, Connection | Set<Connection>>()
  readonly #byAddress = new Map<string, number>()

  get size(): number {
    return this.#all.size
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#all.values()
  }

  ofUser(userId: string): ReadonlySet<Connection> {
    const theirs = this.#byUser.get(userId)
    if (theirs === undefined) return NOBODY
    return theirs instanceof Set ? theirs : new Set([theirs])
  }

  countOfAddress(address: string): number {
    return this.#byAddress.get(address) ?? 0
  }

  add(connection: Connection): void {
    const { userId, remoteAddress } = connection
    this.#all.add(connection)
    this.#byAddress.set(remoteAddress, this.countOfAddress(remoteAddress) + 1)
    if (userId === undefined) return
    const theirs = this.#byUser.get(userId)
    if (theirs instanceof Set) theirs.add(connection)
    else this.#byUser.set(userId, theirs === undefined ? connection : new Set([theirs, connection]))
  }

  remove(connection: Connection): void {
    if (!this.#all.delete(connection)) return
    const { userId, remoteAddress } = connection
    const left = this.countOfAddress(remoteAddress) - 1
    if (left > 0) this.#byAddress.set(remoteAddress, left)
    else this.#byAddress.delete(remoteAddress)
    if (userId === undefined) return
    const theirs = this.#byUser.get(userId)
    if (theirs instanceof Set) theirs.delete(connection)
    if (theirs === connection || (theirs instanceof Set && theirs.size === 0)) this.#byUser.delete(userId)
  }
}

const NOBODY: ReadonlySet<Connection> = new Set()
