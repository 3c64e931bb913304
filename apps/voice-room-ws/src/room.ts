import type { VoiceId, VoiceRoomRecord, VoiceVersion } from '@carillon/events'
import { isNewer, isSame } from './version.ts'

/*
 * Who sits where, and the call of a channel that is one. As in user.ts, every function answers the next record or
 * undefined where nothing is to be done.
 */

export type RoomRecord = VoiceRoomRecord
export type Seat = RoomRecord['seats'][number]

export const SEATS_MAX = 256

export function newRoom(channelName: string): RoomRecord {
  return { channel_name: channelName, seats: [], call: null }
}

export function seatOf(room: RoomRecord, seatId: string): Seat | undefined {
  return room.seats.find(({ id }) => id === seatId)
}

/** Whether this event still says who sits on the seat. */
export function decides(room: RoomRecord, seatId: string, version: VoiceVersion): boolean {
  return isSame(version, seatOf(room, seatId)?.version)
}

/** The seat is the user's from this event on; who sat there, and where the user sat before, is given up. */
export function occupy(
  room: RoomRecord,
  seatId: string,
  userId: string,
  version: VoiceVersion,
): RoomRecord | undefined {
  const before = seatOf(room, seatId)
  if (before !== undefined && !isNewer(version, before.version)) return undefined
  const others = room.seats
    .filter(({ id }) => id !== seatId)
    .map((seat) => (seat.user_id === userId ? { ...seat, user_id: null, previous: userId } : seat))
  const seat = { id: seatId, user_id: userId, previous: before?.user_id ?? null, version }
  return { ...room, seats: bounded([...others, seat]) }
}

/** The seat is empty from this event on. */
export function vacate(room: RoomRecord, seatId: string, version: VoiceVersion): RoomRecord | undefined {
  const before = seatOf(room, seatId)
  if (before !== undefined && !isNewer(version, before.version)) return undefined
  const others = room.seats.filter(({ id }) => id !== seatId)
  const seat = { id: seatId, user_id: null, previous: before?.user_id ?? null, version }
  return { ...room, seats: bounded([...others, seat]) }
}

/** The user is gone from the room: from every seat taken no later than this event. */
export function clearSeats(room: RoomRecord, userId: string, version: VoiceVersion): RoomRecord | undefined {
  const leaves = (seat: Seat) => seat.user_id === userId && !isNewer(seat.version, version)
  if (!room.seats.some(leaves)) return undefined
  return {
    ...room,
    seats: room.seats.map((seat) => (leaves(seat) ? { ...seat, user_id: null, previous: userId } : seat)),
  }
}

export function beginCall(
  room: RoomRecord,
  userId: VoiceId,
  receiverId: VoiceId,
  version: VoiceVersion,
): RoomRecord | undefined {
  if (!isNewer(version, room.call?.version ?? null)) return undefined
  return { ...room, call: { user_id: userId, receiver_id: receiverId, ended: false, version } }
}

/** The call is over; who was in it stays known, for an instance that has to finish this. */
export function finishCall(room: RoomRecord, version: VoiceVersion): RoomRecord | undefined {
  // Its start comes behind it, and is known to be over then.
  if (room.call === null) return { ...room, call: { user_id: null, receiver_id: null, ended: true, version } }
  if (room.call.ended || isNewer(room.call.version, version)) return undefined
  return { ...room, call: { ...room.call, ended: true, version } }
}

/** A hostile publisher may name seats without end: the longest unused ones go first. */
function bounded(seats: readonly Seat[]): Seat[] {
  const left = [...seats]
  for (let i = 0; i < left.length && left.length > SEATS_MAX; ) {
    if ((left[i] as Seat).user_id === null) left.splice(i, 1)
    else i += 1
  }
  return left.slice(-SEATS_MAX)
}
