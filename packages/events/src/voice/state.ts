import { type Static, Type } from 'typebox'
import { json } from '../payload.ts'
import { Count, Millis } from '../schemas.ts'
import { type BucketDefinition, HOUR_MS } from '../storage.ts'
import { VoiceId, VoiceName } from './ids.ts'

/** A message's place in the stream of room events: what was published later has the greater one. */
export const VoiceVersion = Type.Object({ epoch: Millis, sequence: Count })
export type VoiceVersion = Static<typeof VoiceVersion>

/** A seat as the publisher described it. */
export const VoiceSeat = Type.Object({
  id: VoiceId,
  status: Type.Optional(Type.Union([Type.Integer(), Type.String(), Type.Boolean()])),
  microphone: Type.Optional(Type.Union([Type.Integer(), Type.String(), Type.Boolean()])),
})
export type VoiceSeat = Static<typeof VoiceSeat>

const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) =>
  Type.Union([schema, Type.Null()])

export const VoiceReason = Type.Unsafe<'closed' | 'heartbeat_timeout' | 'instance_lost'>({
  type: 'string',
  enum: ['closed', 'heartbeat_timeout', 'instance_lost'],
})
export type VoiceReason = Static<typeof VoiceReason>

/** Which connection is the user's: an instance's lease, and the connection's id there. */
export const VoiceSession = Type.Object({
  lease: VoiceName,
  connection: VoiceName,
  at: Millis,
  /** It replaced one that was stored while it was being opened: nobody can tell which of the two is the newer. */
  contested: Type.Optional(Type.Boolean()),
})
export type VoiceSession = Static<typeof VoiceSession>

export const VoiceCall = Type.Object({ channel_name: VoiceName, user_id: VoiceId, receiver_id: VoiceId })
export type VoiceCall = Static<typeof VoiceCall>

export const VoiceEvicted = Type.Object(
  {
    user_id: VoiceName,
    channel_name: Type.String(),
    room_seat: nullable(VoiceSeat),
    call: nullable(VoiceCall),
    reason: VoiceReason,
    at: Millis,
  },
  { $id: 'VoiceEvicted' },
)
export type VoiceEvicted = Static<typeof VoiceEvicted>

/** Everything about one user, in one key: whatever happens to the user is one compare-and-set. */
export const VoiceUserRecord = Type.Object(
  {
    user_id: VoiceName,
    session: nullable(VoiceSession),
    /** Without a connection, but with a room or a call: evicted if this lasts longer than the grace. */
    absence: nullable(Type.Object({ reason: VoiceReason, grace_ms: Count, at: Millis })),
    room: nullable(
      Type.Object({
        channel_name: VoiceName,
        /** As the publisher writes the id, a number or a text: the clients' frames have it so. */
        user_id: VoiceId,
        seat: nullable(Type.Object({ value: VoiceSeat, version: VoiceVersion })),
      }),
    ),
    /** The last exits, for an entry that is seen behind the exit that follows it. */
    left: Type.Optional(
      Type.Array(Type.Object({ channel_name: VoiceName, version: VoiceVersion }), { maxItems: 8 }),
    ),
    /** The last entry, or eviction, that the room or its absence comes from. */
    room_version: nullable(VoiceVersion),
    call: nullable(VoiceCall),
    call_version: nullable(VoiceVersion),
    /** The outbox: decided, but perhaps not yet told to everybody. */
    eviction: nullable(
      Type.Object({ id: VoiceName, event: VoiceEvicted, notice_user_id: VoiceId, version: VoiceVersion }),
    ),
  },
  { $id: 'VoiceUserRecord' },
)
export type VoiceUserRecord = Static<typeof VoiceUserRecord>

export const VOICE_STATE_MAX_AGE_MS = 24 * HOUR_MS

export const voiceUsers: BucketDefinition<VoiceUserRecord> = {
  name: 'voice_users',
  summary: 'Voice: each user’s connection, room, seat and call; holders rewrite theirs before they age out',
  value: json(VoiceUserRecord),
  storage: 'file',
  maxAgeMs: VOICE_STATE_MAX_AGE_MS,
}

/** What a room has beside its members: who sits where, and the call of a channel that is one. */
export const VoiceRoomRecord = Type.Object(
  {
    channel_name: VoiceName,
    seats: Type.Array(
      Type.Object({
        id: VoiceName,
        user_id: nullable(VoiceName),
        /** Who sat there before the last event emptied it. */
        previous: nullable(VoiceName),
        version: VoiceVersion,
      }),
      { maxItems: 256 },
    ),
    call: nullable(
      Type.Object({
        /** Unknown where the end was seen before the start. */
        user_id: nullable(VoiceId),
        receiver_id: nullable(VoiceId),
        ended: Type.Boolean(),
        version: VoiceVersion,
      }),
    ),
  },
  { $id: 'VoiceRoomRecord' },
)
export type VoiceRoomRecord = Static<typeof VoiceRoomRecord>

export const voiceRooms: BucketDefinition<VoiceRoomRecord> = {
  name: 'voice_rooms',
  summary: 'Voice: the seats and the call of each channel',
  value: json(VoiceRoomRecord),
  storage: 'file',
  maxAgeMs: VOICE_STATE_MAX_AGE_MS,
}

/** An instance's lease. It is renewed every few seconds; once `taken` it is lost for good. */
export const VoiceLease = Type.Object(
  {
    instance_id: VoiceName,
    renewed: Count,
    taken_by: nullable(VoiceName),
    started_at: Millis,
  },
  { $id: 'VoiceLease' },
)
export type VoiceLease = Static<typeof VoiceLease>

export const voiceLeases: BucketDefinition<VoiceLease> = {
  name: 'voice_leases',
  summary: 'Voice: which instances live',
  value: json(VoiceLease),
  storage: 'file',
  maxAgeMs: VOICE_STATE_MAX_AGE_MS,
}
