import { channelsOf, isIdle, type UserRecord } from './user.ts'

/** A user's record as last seen. */
export interface Known {
  readonly record: UserRecord
  readonly revision: number
}

interface Member {
  readonly userId: string
  record: UserRecord
  revision: number
  /** Places in the rooms' lists of members with a connection. */
  readonly places: Map<string, number>
}

class Room {
  readonly members = new Set<Member>()
  /** In no order, so that one can be picked and removed in constant time. */
  readonly connected: Member[] = []
}

/** Records that were forgotten a moment ago, so that an older copy that comes late does not bring them back. */
const FORGOTTEN_MAX = 10_000

type Listener = (userId: string, before: UserRecord | undefined, after: UserRecord | undefined) => void

/**
 * Every user that is connected or in a room, over all instances: a copy of the bucket that a watch keeps up to date.
 * It says where to look and whom to pick; what is decided is decided by compare-and-set.
 */
export class Directory {
  readonly #users = new Map<string, Member>()
  readonly #rooms = new Map<string, Room>()
  readonly #byLease = new Map<string, Set<Member>>()
  readonly #absent = new Set<Member>()
  readonly #evicting = new Set<Member>()
  readonly #forgotten = new Map<string, number>()
  readonly #listeners = new Set<Listener>()

  get size(): number {
    return this.#users.size
  }

  get rooms(): number {
    return this.#rooms.size
  }

  onChange(listener: Listener): void {
    this.#listeners.add(listener)
  }

  get(userId: string): Known | undefined {
    return this.#users.get(userId)
  }

  /**
   * Takes a record that was read, written or watched; an older one than the last is passed over. One that went away
   * while nobody watched has no revision.
   */
  apply(userId: string, record: UserRecord | undefined, stored: number | undefined): void {
    const member = this.#users.get(userId)
    const revision = stored ?? member?.revision ?? 0
    const last = member?.revision ?? this.#forgotten.get(userId) ?? 0
    if (revision < last || (revision === last && record !== undefined)) return
    const before = member?.record
    if (record === undefined || isIdle(record)) {
      this.#forget(userId, member, revision)
      if (before) this.#changed(userId, before, undefined)
      return
    }
    if (member === undefined) {
      this.#forgotten.delete(userId)
      const added: Member = { userId, record, revision, places: new Map() }
      this.#users.set(userId, added)
      this.#index(added)
    } else {
      this.#unindex(member)
      member.record = record
      member.revision = revision
      this.#index(member)
    }
    this.#changed(userId, before, record)
  }

  /** Everybody in the channel, connected or not. */
  *members(channelName: string): IterableIterator<UserRecord> {
    for (const { record } of this.#rooms.get(channelName)?.members ?? []) yield record
  }

  countOf(channelName: string): number {
    return this.#rooms.get(channelName)?.members.size ?? 0
  }

  hasConnected(channelName: string): boolean {
    return (this.#rooms.get(channelName)?.connected.length ?? 0) > 0
  }

  /** Any member with a connection that the filter accepts: a different one each time, where there are several. */
  pick(channelName: string, accepts: (record: UserRecord) => boolean): UserRecord | undefined {
    const connected = this.#rooms.get(channelName)?.connected ?? []
    const start = Math.floor(Math.random() * connected.length)
    for (let i = 0; i < connected.length; i++) {
      const { record } = connected[(start + i) % connected.length] as Member
      if (accepts(record)) return record
    }
    return undefined
  }

  leases(): IterableIterator<string> {
    return this.#byLease.keys()
  }

  *ofLease(lease: string): IterableIterator<UserRecord> {
    for (const { record } of this.#byLease.get(lease) ?? []) yield record
  }

  /** Users without a connection who are still in a room or a call. */
  *absent(): IterableIterator<Known> {
    yield* this.#absent
  }

  /** Users whose eviction has perhaps not been told to everybody. */
  *evicting(): IterableIterator<Known> {
    yield* this.#evicting
  }

  #forget(userId: string, member: Member | undefined, revision: number): void {
    if (member) this.#unindex(member)
    this.#users.delete(userId)
    this.#forgotten.delete(userId)
    this.#forgotten.set(userId, revision)
    if (this.#forgotten.size > FORGOTTEN_MAX) {
      for (const oldest of this.#forgotten.keys()) {
        this.#forgotten.delete(oldest)
        break
      }
    }
  }

  #changed(userId: string, before: UserRecord | undefined, after: UserRecord | undefined): void {
    for (const listener of this.#listeners) listener(userId, before, after)
  }

  #index(member: Member): void {
    const { record } = member
    for (const channel of channelsOf(record)) {
      const room = getOrMake(this.#rooms, channel, () => new Room())
      room.members.add(member)
      if (record.session !== null) member.places.set(channel, room.connected.push(member) - 1)
    }
    if (record.session !== null)
      getOrMake(this.#byLease, record.session.lease, () => new Set<Member>()).add(member)
    if (record.absence !== null) this.#absent.add(member)
    if (record.eviction !== null) this.#evicting.add(member)
  }

  #unindex(member: Member): void {
    const { record } = member
    for (const channel of channelsOf(record)) {
      const room = this.#rooms.get(channel)
      if (room === undefined) continue
      room.members.delete(member)
      const place = member.places.get(channel)
      if (place !== undefined) {
        const last = room.connected.pop() as Member
        if (last !== member) {
          room.connected[place] = last
          last.places.set(channel, place)
        }
        member.places.delete(channel)
      }
      if (room.members.size === 0) this.#rooms.delete(channel)
    }
    if (record.session !== null) {
      const theirs = this.#byLease.get(record.session.lease)
      theirs?.delete(member)
      if (theirs?.size === 0) this.#byLease.delete(record.session.lease)
    }
    this.#absent.delete(member)
    this.#evicting.delete(member)
  }
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
