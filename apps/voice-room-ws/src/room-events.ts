import type { VoiceAction, VoiceId, VoiceNotice, VoiceNotices, VoiceVersion } from '@carillon/events'
import type { Clock } from '@carillon/service'
import type { Capacity, Full } from './capacity.ts'
import type { Directory } from './directory.ts'
import type { Records } from './records.ts'
import {
  beginCall,
  clearSeats,
  decides,
  finishCall,
  occupy,
  type RoomRecord,
  seatOf,
  vacate,
} from './room.ts'
import {
  endCall,
  enter,
  exit,
  seatValue,
  sit,
  stand,
  startCall,
  turnAway,
  type UserRecord,
  unseat,
} from './user.ts'
import { isSame } from './version.ts'

export interface RoomEventsOptions {
  readonly clock: Clock
  readonly users: Records<UserRecord>
  readonly rooms: Records<RoomRecord>
  readonly directory: Directory
  readonly capacity: Capacity
  /** For users who are put into a room without having a connection. */
  readonly absentGraceMs: number
}

export interface RoomChange {
  /** Whom the notice is about, where the notice itself does not say. */
  readonly about?: string | undefined
  /** The user was not let in, and nothing is to be told, since there are too many. */
  readonly refused?: Full | undefined
}

/**
 * What events do to rosters, seats and calls. Each touches several records, step by step; every step may be done again,
 * by an instance that finds this one gone.
 */
export class RoomEvents {
  readonly #options: RoomEventsOptions

  constructor(options: RoomEventsOptions) {
    this.#options = options
  }

  /** The roster, the seats. */
  async change(
    version: VoiceVersion,
    channelName: string,
    action: VoiceAction,
    body: VoiceNotice,
  ): Promise<RoomChange> {
    const { users, rooms } = this.#options
    switch (action) {
      case 'enter_room': {
        const { user_id } = body as VoiceNotices['enter_room']
        const refused = await this.#turnedAway(version, user_id, channelName)
        if (refused !== undefined) return { refused }
        await users.change(String(user_id), (record) =>
          enter(record, channelName, user_id, version, this.#absent),
        )
        return {}
      }
      case 'exit_room': {
        const { user_id } = body as VoiceNotices['exit_room']
        const { before, changed } = await users.change(String(user_id), (record) =>
          exit(record, channelName, version),
        )
        if (changed && before.room?.seat)
          await rooms.change(channelName, (room) => clearSeats(room, String(user_id), version))
        return {}
      }
      case 'up': {
        const { room_seat } = body as VoiceNotices['up']
        const refused = await this.#turnedAway(version, room_seat.user_id, channelName)
        if (refused !== undefined) return { refused }
        await this.#sit(version, channelName, room_seat)
        return {}
      }
      case 'down': {
        const { room_seat } = body as VoiceNotices['down']
        return { about: await this.#stand(version, channelName, String(room_seat.id)) }
      }
      case 'send_topic_msg':
      case 'send_gift':
      case 'hang_up':
      case 'room_notice':
        return {}
      default:
        return action satisfies never
    }
  }

  /** Answers why the user is not let in; one that is not is in no other room either. */
  async #turnedAway(version: VoiceVersion, id: VoiceId, channelName: string): Promise<Full | undefined> {
    const { users, rooms, capacity } = this.#options
    const userId = String(id)
    const full = capacity.refusal(userId, channelName)
    if (full === undefined) return undefined
    // The record knows better than the copy whether the user is there already.
    const isThere = ({ room }: UserRecord) => room?.channel_name === channelName
    const { before, record, changed } = await users.change(userId, (record) =>
      isThere(record) ? undefined : turnAway(record, version),
    )
    if (isThere(record)) return undefined
    if (changed && before.room?.seat)
      await rooms.change(before.room.channel_name, (room) => clearSeats(room, userId, version))
    capacity.refused(full)
    return full
  }

  /**
   * Seat and occupant are two records. Each step may be done again by another instance that finds this one gone; and a
   * later event that comes between the steps wins, which the last look makes sure of.
   */
  async #sit(
    version: VoiceVersion,
    channelName: string,
    seat: VoiceNotices['up']['room_seat'],
  ): Promise<void> {
    const { users, rooms } = this.#options
    const [seatId, userId] = [String(seat.id), String(seat.user_id)]
    const { record: room } = await rooms.change(channelName, (record) =>
      occupy(record, seatId, userId, version),
    )
    const taken = seatOf(room, seatId)
    const previous = taken?.previous
    if (decides(room, seatId, version) && previous != null && previous !== userId)
      await users.change(previous, (record) => stand(record, channelName, seatId, version))
    const value = seatValue(seat)
    if (decides(room, seatId, version) && taken?.user_id === userId) {
      const { record } = await users.change(userId, (user) =>
        sit(user, channelName, seat.user_id, value, version, this.#absent),
      )
      // Gone from the room by a later event, or evicted: the seat is free.
      if (record.room?.channel_name !== channelName)
        await rooms.change(channelName, (each) => clearSeats(each, userId, version))
    }
    const { record: now } = await rooms.read(channelName)
    if (!decides(now, seatId, version) || seatOf(now, seatId)?.user_id !== userId)
      await users.change(userId, (record) => unseat(record, channelName, version))
  }

  /** Answers who sat there. */
  async #stand(version: VoiceVersion, channelName: string, seatId: string): Promise<string | undefined> {
    const { users, rooms, directory } = this.#options
    const { record: room } = await rooms.change(channelName, (record) => vacate(record, seatId, version))
    const occupant =
      (decides(room, seatId, version) ? seatOf(room, seatId)?.previous : undefined) ??
      // The seats of a room in which nothing happened for long are not remembered, the occupant is.
      occupantOf(directory.members(channelName), channelName, seatId)
    if (occupant !== undefined)
      await users.change(occupant, (record) => stand(record, channelName, seatId, version))
    return occupant
  }

  async startCall(
    version: VoiceVersion,
    channelName: string,
    { user_id, receiver_id }: Pick<VoiceNotices['hang_up'], 'user_id' | 'receiver_id'>,
  ): Promise<void> {
    const { users, rooms, capacity } = this.#options
    const full = [user_id, receiver_id].flatMap((id) => capacity.refusal(String(id), channelName) ?? [])[0]
    if (full !== undefined) return capacity.refused(full)
    const { record: room } = await rooms.change(channelName, (record) =>
      beginCall(record, user_id, receiver_id, version),
    )
    // It is over already.
    if (!isSame(version, room.call?.version)) return
    const call = { channel_name: channelName, user_id, receiver_id }
    const parties = [String(user_id), String(receiver_id)]
    for (const id of parties)
      await users.change(id, (record) => startCall(record, call, version, this.#absent))
    const { record: now } = await rooms.read(channelName)
    if (now.call !== null && !isSame(version, now.call.version))
      await this.#endFor(parties, channelName, now.call.version)
  }

  async endCall(version: VoiceVersion, channelName: string): Promise<void> {
    const { rooms, directory } = this.#options
    const { record } = await rooms.change(channelName, (room) => finishCall(room, version))
    const parties = [record.call?.user_id, record.call?.receiver_id].flatMap((id) =>
      id == null ? [] : [String(id)],
    )
    // The call of a channel in which nothing happened for long is not remembered, those who are in it are.
    // Not everybody in a room of that name: each costs a read.
    const members = [...directory.members(channelName)]
      .filter(({ call }) => call?.channel_name === channelName)
      .map(({ user_id }) => user_id)
    await this.#endFor([...new Set([...parties, ...members])], channelName, version)
  }

  async #endFor(userIds: readonly string[], channelName: string, version: VoiceVersion): Promise<void> {
    for (const id of userIds)
      await this.#options.users.change(id, (user) => endCall(user, channelName, version))
  }

  get #absent() {
    return { graceMs: this.#options.absentGraceMs, nowMs: this.#options.clock.now() }
  }
}

function occupantOf(members: Iterable<UserRecord>, channelName: string, seatId: string): string | undefined {
  for (const { user_id, room } of members)
    if (room?.channel_name === channelName && room.seat !== null && String(room.seat.value.id) === seatId)
      return user_id
  return undefined
}
