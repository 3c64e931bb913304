import { type Static, Type } from 'typebox'
import { defineEvent, defineRequest } from '../channel.ts'
import { json } from '../payload.ts'
import { Millis, Outcome } from '../schemas.ts'
import { DAY_MS, HOUR_MS, type StreamDefinition } from '../storage.ts'
import { idProblem, VoiceId, VoiceName } from './ids.ts'
import { noticeMessages, noticePayload, refineNotice } from './notices.ts'
import { VoiceCall, VoiceEvicted, VoiceSeat } from './state.ts'

/** How long a second copy of an event, from an instance that finishes another one's work, is recognised. */
const DUPLICATES_MS = 10 * 60_000

/**
 * Every event for a room, a user or a call waits here until an instance has seen to it: whichever takes it may die.
 * It acknowledges nothing to publishers, so that a request's answer is that of the relay.
 */
export const voiceWorkStream: StreamDefinition = {
  name: 'VOICE_WORK',
  summary: 'Room, user and call events that an instance has still to see to',
  subjects: ['voice.room.*.*', 'voice.user.*.*', 'voice.call.*.*'],
  messagesPerSubject: -1,
  maxAgeMs: HOUR_MS,
  storage: 'file',
  retention: 'workqueue',
  acknowledges: false,
  duplicatesMs: DUPLICATES_MS,
}

/** What follows from evictions, until it is told. Unlike above, whoever publishes here needs to know that it is stored. */
export const voiceEvictionStream: StreamDefinition = {
  name: 'VOICE_EVICTION',
  summary: 'Notices that follow from evictions and are still to be relayed',
  subjects: ['voice.eviction.*.*'],
  messagesPerSubject: -1,
  maxAgeMs: HOUR_MS,
  storage: 'file',
  retention: 'workqueue',
  duplicatesMs: DUPLICATES_MS,
}

/** What internal services must not miss. */
export const voiceEventsStream: StreamDefinition = {
  name: 'VOICE_EVENTS',
  summary: 'Evictions, and relays that nobody confirmed',
  subjects: ['voice.evicted.*', 'voice.relay.unconfirmed'],
  messagesPerSubject: -1,
  maxAgeMs: 7 * DAY_MS,
  storage: 'file',
  duplicatesMs: DUPLICATES_MS,
}

/** What a publisher who asks is told when the relay is over. */
export const VoiceDelivered = Type.Object(
  {
    delivered: Type.Boolean({ description: 'handed to at least one live connection' }),
    relay_user_id: Type.String({
      description: 'who confirmed it, else who got it last; empty for a broadcast',
    }),
    confirmed: Type.Boolean({ description: 'that member has reported' }),
  },
  { $id: 'VoiceDelivered' },
)
export type VoiceDelivered = Static<typeof VoiceDelivered>

const CallParties = Type.Object({ user_id: VoiceId, receiver_id: VoiceId }, { $id: 'VoiceCallParties' })
const AnyObject = Type.Object({}, { $id: 'VoiceCallEnd' })

const shortIds = (params: Readonly<Record<string, string>>) => {
  for (const [name, id] of Object.entries(params)) {
    const problem = idProblem(name, id)
    if (problem !== undefined) return problem
  }
  return undefined
}

const received = { direction: 'receive', stream: voiceWorkStream } as const

export const VoiceReport = Type.Object(
  {
    action: Type.String(),
    user_id: Type.String(),
    reporter_id: VoiceName,
    channel_name: Type.String(),
    timestamp: Millis,
  },
  { $id: 'VoiceReport' },
)
const SessionChange = Type.Object(
  { user_id: VoiceName, instance_id: VoiceName, reason: Type.String(), at: Millis },
  { $id: 'VoiceSessionChange' },
)
export const VoiceUnconfirmed = Type.Object(
  {
    channel_name: Type.String(),
    action: Type.String(),
    user_id: Type.String({ description: 'whom the notice is about; empty where it names nobody' }),
    tried: Type.Array(VoiceName),
    reason: Type.Unsafe<
      'nobody_left' | 'too_many_attempts' | 'too_many_relays' | 'room_full' | 'too_many_users'
    >({
      type: 'string',
      enum: ['nobody_left', 'too_many_attempts', 'too_many_relays', 'room_full', 'too_many_users'],
    }),
    at: Millis,
  },
  { $id: 'VoiceUnconfirmed' },
)
export type VoiceReport = Static<typeof VoiceReport>
export type VoiceUnconfirmed = Static<typeof VoiceUnconfirmed>

const Nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) =>
  Type.Union([schema, Type.Null()])
const outcome = Outcome.properties

export const VoiceUserState = Type.Object(
  {
    ...outcome,
    user_id: Type.String(),
    online: Type.Boolean(),
    channel_name: Type.String(),
    room_seat: Nullable(VoiceSeat),
    call: Nullable(VoiceCall),
  },
  { $id: 'VoiceUserState' },
)
export type VoiceUserState = Static<typeof VoiceUserState>

export const VoiceRoomState = Type.Object(
  {
    ...outcome,
    channel_name: Type.String(),
    members: Type.Array(
      Type.Object({ user_id: VoiceName, online: Type.Boolean(), room_seat: Nullable(VoiceSeat) }),
    ),
    /** The call of this channel, where one is under way. */
    call: Type.Optional(Nullable(VoiceCall)),
    /** How many there are, and how to ask for those that did not fit into this answer. */
    member_count: Type.Integer({ minimum: 0 }),
    next: Type.Optional(VoiceName),
  },
  { $id: 'VoiceRoomState' },
)
export type VoiceRoomState = Static<typeof VoiceRoomState>

/** The voice domain's public channels. */
export const voice = {
  room: defineRequest('voice.room.{channelName}.{action}', {
    ...received,
    summary: 'A notice for a room: relayed by one member who confirms it, or broadcast to all',
    payload: noticePayload,
    messages: noticeMessages,
    reply: json(VoiceDelivered),
    answers: 'one',
    refine({ channelName, action }, body) {
      const problem = shortIds({ channelName })
      return problem ? { ok: false, reason: problem } : refineNotice(action, body, channelName)
    },
  }),
  user: defineRequest('voice.user.{userId}.{action}', {
    ...received,
    summary: 'A notice straight to one user',
    payload: noticePayload,
    messages: noticeMessages,
    reply: json(VoiceDelivered),
    answers: 'one',
    refine({ userId, action }, body) {
      const problem = shortIds({ userId })
      return problem ? { ok: false, reason: problem } : refineNotice(action, body)
    },
  }),
  call_start: defineEvent('voice.call.{channelName}.start', {
    ...received,
    summary: 'Two users are in a call',
    payload: json(CallParties),
    refine({ channelName }, parties) {
      const problem = shortIds({
        channelName,
        user_id: String(parties.user_id),
        receiver_id: String(parties.receiver_id),
      })
      if (problem) return { ok: false, reason: problem }
      if (String(parties.user_id) === String(parties.receiver_id))
        return { ok: false, reason: 'user_id and receiver_id are the same' }
      return { ok: true, value: parties }
    },
  }),
  call_end: defineEvent('voice.call.{channelName}.end', {
    ...received,
    summary: 'The call is over',
    payload: json(AnyObject),
    refine({ channelName }, end) {
      const problem = shortIds({ channelName })
      return problem ? { ok: false, reason: problem } : { ok: true, value: end }
    },
  }),
  user_state: defineRequest('voice.rpc.user_state', {
    direction: 'receive',
    answers: 'one',
    summary: 'Where a user is',
    payload: json(Type.Object({ user_id: VoiceId }, { $id: 'VoiceUserQuery' })),
    reply: json(VoiceUserState),
  }),
  room_state: defineRequest('voice.rpc.room_state', {
    direction: 'receive',
    answers: 'one',
    summary: 'Who is in a room, and on which seat',
    payload: json(
      Type.Object({ channel_name: VoiceName, next: Type.Optional(VoiceName) }, { $id: 'VoiceRoomQuery' }),
    ),
    reply: json(VoiceRoomState),
  }),
  report: defineEvent('voice.report.{action}', {
    direction: 'send',
    summary: 'A client has reported; `action` is as the client sent it',
    payload: json(VoiceReport),
  }),
  online: defineEvent('voice.session.{userId}.online', {
    direction: 'send',
    summary: 'A user has a connection; reason: connected, or replaced',
    payload: json(SessionChange),
  }),
  offline: defineEvent('voice.session.{userId}.offline', {
    direction: 'send',
    summary:
      'A user has no connection any more; reason: closed, heartbeat_timeout, instance_lost, or drained',
    payload: json(SessionChange),
  }),
  evicted: defineEvent('voice.evicted.{userId}', {
    direction: 'send',
    stream: voiceEventsStream,
    summary: 'A user was taken out of the room or the call because the connection is gone: one for each time',
    payload: json(VoiceEvicted),
  }),
  unconfirmed: defineEvent('voice.relay.unconfirmed', {
    direction: 'send',
    stream: voiceEventsStream,
    summary: 'A relay that nobody confirmed',
    payload: json(VoiceUnconfirmed),
  }),
  verify: defineRequest('voice.session.verify', {
    direction: 'send',
    answers: 'one',
    summary: 'Whose session id is this? Asked with VOICE_SID_VERIFIER=nats',
    payload: json(Type.Object({ sid: Type.String() }, { $id: 'VoiceSidQuery' })),
    reply: json(
      Type.Object(
        {
          error_code: Type.Integer(),
          error_reason: Type.Optional(Type.String()),
          user_id: Type.Optional(VoiceId),
        },
        { $id: 'VoiceSidAnswer' },
      ),
    ),
  }),
} as const
