import type {
  VoiceCall,
  VoiceId,
  VoiceReason,
  VoiceSeat,
  VoiceSession,
  VoiceUserRecord,
  VoiceVersion,
} from '@carillon/events'
import { isNewer, isSame, newest } from './version.ts'

/*
 * What may happen to one user's record. Every function answers the next record, or undefined where nothing is to be
 * done: because it is done already, or because something later has happened. Whoever writes the answer does so by
 * compare-and-set, so that of several instances that decide the same thing one does it.
 */

export type UserRecord = VoiceUserRecord

/** Exits that are remembered: those of the rooms that a user hurries through. */
const LEFT_MAX = 8

/** For a user who is put into a room without having a connection: time to connect, and the wall time. */
export interface AbsenceRule {
  readonly graceMs: number
  readonly nowMs: number
}

export function newUser(userId: string): UserRecord {
  return {
    user_id: userId,
    session: null,
    absence: null,
    room: null,
    room_version: null,
    call: null,
    call_version: null,
    eviction: null,
  }
}

/** Whether nothing is to be remembered but versions. */
export function isIdle({ session, room, call, eviction }: UserRecord): boolean {
  return session === null && room === null && call === null && eviction === null
}

/** The channels a user is in. */
export function channelsOf({ room, call }: UserRecord): string[] {
  const channels = room === null ? [] : [room.channel_name]
  if (call !== null && call.channel_name !== room?.channel_name) channels.push(call.channel_name)
  return channels
}

export function isHeldBy(session: VoiceSession | null, lease: string, connection: string): boolean {
  return session !== null && session.lease === lease && session.connection === connection
}

/** A connection becomes the user's. Whatever it replaces ends without an eviction. */
export function connect(record: UserRecord, session: VoiceSession): UserRecord | undefined {
  if (isHeldBy(record.session, session.lease, session.connection)) return undefined
  return { ...record, session, absence: null }
}

/**
 * The user's connection is gone, but the user may come back within the grace. Undefined if the connection is not the
 * user's any more.
 */
export function leave(
  record: UserRecord,
  gone: Pick<VoiceSession, 'lease' | 'connection'>,
  reason: VoiceReason,
  graceMs: number,
  nowMs: number,
): UserRecord | undefined {
  if (!isHeldBy(record.session, gone.lease, gone.connection)) return undefined
  const stays = record.room !== null || record.call !== null
  return { ...record, session: null, absence: stays ? { reason, grace_ms: graceMs, at: nowMs } : null }
}

/**
 * Takes the user out of room, seat and call, and notes what is to be told about it. `version` is the place of the
 * last event so far: what was published before does not bring the user back. The revision that is replaced makes the
 * eviction's id, which no other eviction has.
 */
export function evict(
  record: UserRecord,
  reason: VoiceReason,
  version: VoiceVersion,
  revision: number,
  nowMs: number,
): UserRecord | undefined {
  const { user_id, room, call } = record
  // One at a time: the outbox has room for one, and whoever finds it full empties it first.
  if ((room === null && call === null) || record.eviction !== null) return undefined
  return {
    user_id,
    session: null,
    absence: null,
    room: null,
    room_version: newest(version, record.room_version),
    call: null,
    call_version: newest(version, record.call_version),
    eviction: {
      id: `${revision}-${nowMs}`,
      event: {
        user_id,
        channel_name: room?.channel_name ?? '',
        room_seat: room?.seat?.value ?? null,
        call,
        reason,
        at: nowMs,
      },
      notice_user_id: room?.user_id ?? user_id,
      version,
    },
  }
}

/** Everybody has been told of the eviction. */
export function withoutEviction(record: UserRecord, evictionId: string): UserRecord | undefined {
  return record.eviction?.id === evictionId ? { ...record, eviction: null } : undefined
}

/**
 * The user is in the room from this event on. One without a connection is absent, and evicted unless it connects in
 * time.
 */
export function enter(
  record: UserRecord,
  channelName: string,
  as: VoiceId,
  version: VoiceVersion,
  absent: AbsenceRule,
): UserRecord | undefined {
  if (!isNewer(version, record.room_version)) return undefined
  if (hasLeft(record, channelName, version)) return leftBehind(record, version)
  const same = record.room?.channel_name === channelName
  const room = { channel_name: channelName, user_id: as, seat: same ? (record.room?.seat ?? null) : null }
  return absentUnlessConnected({ ...record, room, room_version: version }, absent)
}

/** The user is not let in, but is in no other room from this event on either. */
export function turnAway(record: UserRecord, version: VoiceVersion): UserRecord | undefined {
  return isNewer(version, record.room_version) ? leftBehind(record, version) : undefined
}

/** The user has left the room; one that is in another room by now stays there. */
export function exit(record: UserRecord, channelName: string, version: VoiceVersion): UserRecord | undefined {
  if (!isNewer(version, record.room_version) || hasLeft(record, channelName, version)) return undefined
  // Not as the room's version: an entry into another room, between this room's entry and its exit, still counts.
  const others = (record.left ?? []).filter((each) => each.channel_name !== channelName)
  const left = [...others, { channel_name: channelName, version }].slice(-LEFT_MAX)
  const room = record.room?.channel_name === channelName ? null : record.room
  return withoutAbsenceIfNowhere({ ...record, room, left })
}

/** Whether this exit, or a later one of the room, was seen already. */
function hasLeft({ left = [] }: UserRecord, channelName: string, version: VoiceVersion): boolean {
  return left.some((each) => each.channel_name === channelName && !isNewer(version, each.version))
}

/** An entry whose exit was seen before it: it took the user out of any other room, and is over. */
function leftBehind(record: UserRecord, version: VoiceVersion): UserRecord {
  return withoutAbsenceIfNowhere({ ...record, room: null, room_version: version })
}

/** The user sits down, which says as well that the user is in the room. */
export function sit(
  record: UserRecord,
  channelName: string,
  as: VoiceId,
  seat: VoiceSeat,
  version: VoiceVersion,
  absent: AbsenceRule,
): UserRecord | undefined {
  const { room } = record
  const newRoom = isNewer(version, record.room_version)
  const here = room?.channel_name === channelName
  if (!here && !newRoom) return undefined
  if (here && room.seat !== null && !isNewer(version, room.seat.version)) return undefined
  if (newRoom && hasLeft(record, channelName, version)) return leftBehind(record, version)
  // Left and come back since: the seat is from before.
  if (here && !newRoom) return undefined
  return absentUnlessConnected(
    {
      ...record,
      room: { channel_name: channelName, user_id: as, seat: { value: seat, version } },
      room_version: version,
    },
    absent,
  )
}

/** The user leaves a seat that was taken before this event. */
export function stand(
  record: UserRecord,
  channelName: string,
  seatId: string,
  version: VoiceVersion,
): UserRecord | undefined {
  const { room } = record
  if (room?.channel_name !== channelName || room.seat === null) return undefined
  if (String(room.seat.value.id) !== seatId || !isNewer(version, room.seat.version)) return undefined
  return { ...record, room: { ...room, seat: null } }
}

/** The seat that this very event gave is not the user's after all: a later event had emptied it. */
export function unseat(
  record: UserRecord,
  channelName: string,
  version: VoiceVersion,
): UserRecord | undefined {
  const { room } = record
  if (room?.channel_name !== channelName || !isSame(version, room.seat?.version)) return undefined
  return { ...record, room: { ...room, seat: null } }
}

export function startCall(
  record: UserRecord,
  call: VoiceCall,
  version: VoiceVersion,
  absent: AbsenceRule,
): UserRecord | undefined {
  if (!isNewer(version, record.call_version)) return undefined
  return absentUnlessConnected({ ...record, call, call_version: version }, absent)
}

/** The call on this channel is over; a later one stays. */
export function endCall(
  record: UserRecord,
  channelName: string,
  version: VoiceVersion,
): UserRecord | undefined {
  if (record.call?.channel_name !== channelName) return undefined
  if (record.call_version !== null && isNewer(record.call_version, version)) return undefined
  return withoutAbsenceIfNowhere({ ...record, call: null, call_version: version })
}

function absentUnlessConnected(record: UserRecord, absent: AbsenceRule): UserRecord {
  if (record.session !== null || record.absence !== null) return record
  return { ...record, absence: { reason: 'heartbeat_timeout', grace_ms: absent.graceMs, at: absent.nowMs } }
}

function withoutAbsenceIfNowhere(record: UserRecord): UserRecord {
  return record.room === null && record.call === null ? { ...record, absence: null } : record
}

/** What is kept of a seat, and what an exit_room says of it. */
export function seatValue({ id, status, microphone }: VoiceSeat): VoiceSeat {
  return { id, ...(status !== undefined && { status }), ...(microphone !== undefined && { microphone }) }
}
