import type { ClientConnection } from './client-connection.ts'

/** All open connections of a gateway, by user and by address. */
export class Registry<C extends ClientConnection = ClientConnection> {
  readonly #all = new Set<C>()
  /** Most users have one connection: a set of its own for each would weigh more than the rest of this. */
  readonly #byUser = new Map<string, C | Set<C>>()
  readonly #byAddress = new Map<string, number>()

  get size(): number {
    return this.#all.size
  }

  [Symbol.iterator](): IterableIterator<C> {
    return this.#all.values()
  }

  has(connection: C): boolean {
    return this.#all.has(connection)
  }

  ofUser(userId: string): ReadonlySet<C> {
    const connections = this.#byUser.get(userId)
    if (connections instanceof Set) return connections
    return new Set(connections === undefined ? [] : [connections])
  }

  countOfUser(userId: string): number {
    const connections = this.#byUser.get(userId)
    return connections instanceof Set ? connections.size : Number(connections !== undefined)
  }

  countOfAddress(address: string): number {
    return this.#byAddress.get(address) ?? 0
  }

  add(connection: C): void {
    this.#all.add(connection)
    const { remoteAddress } = connection
    this.#byAddress.set(remoteAddress, this.countOfAddress(remoteAddress) + 1)
    this.identified(connection)
  }

  /** The connection has an identity from now on, which must not change any more. */
  identified(connection: C): void {
    const userId = connection.identity?.userId
    if (userId === undefined || !this.#all.has(connection)) return
    const connections = this.#byUser.get(userId)
    if (connections instanceof Set) connections.add(connection)
    else if (connections === undefined) this.#byUser.set(userId, connection)
    else if (connections !== connection) this.#byUser.set(userId, new Set([connections, connection]))
  }

  remove(connection: C): void {
    if (!this.#all.delete(connection)) return
    const { remoteAddress, identity } = connection
    const left = this.countOfAddress(remoteAddress) - 1
    if (left > 0) this.#byAddress.set(remoteAddress, left)
    else this.#byAddress.delete(remoteAddress)
    if (identity === undefined) return
    const connections = this.#byUser.get(identity.userId)
    if (connections instanceof Set) connections.delete(connection)
    if (connections === connection || (connections instanceof Set && connections.size === 0))
      this.#byUser.delete(identity.userId)
  }
}
