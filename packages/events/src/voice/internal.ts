import { type Static, Type } from 'typebox'
import { defineEvent } from '../channel.ts'
import { json } from '../payload.ts'
import { VoiceName } from './ids.ts'
import { noticePayload, refineNotice } from './notices.ts'
import { voiceEvictionStream } from './voice.ts'

/** Between the instances of voice-room-ws. Not part of the public contract: it may change with any version. */

export const VoiceDeliver = Type.Object({
  /** Unique among all attempts of all relays. */
  attempt: VoiceName,
  /** Whose inbox the outcome goes to. */
  from: VoiceName,
  user_id: VoiceName,
  connection: VoiceName,
  action: Type.String(),
  /** Whom a report must name; empty for anybody. */
  about: Type.String(),
  /** The client's frame, as JSON text. */
  frame: Type.String(),
})
export type VoiceDeliver = Static<typeof VoiceDeliver>

/** `sent`: handed to the socket. `reported`: the member has confirmed. `gone`: it cannot, for good. */
export const VoiceAttempt = Type.Object({
  attempt: VoiceName,
  kind: Type.Unsafe<'sent' | 'reported' | 'gone'>({ type: 'string', enum: ['sent', 'reported', 'gone'] }),
})
export type VoiceAttempt = Static<typeof VoiceAttempt>

export const voiceInternal = {
  deliver: defineEvent('voice.instance.{lease}.deliver', {
    direction: 'send',
    summary: 'Hand a notice to a connection of that instance',
    payload: json(VoiceDeliver),
  }),
  attempt: defineEvent('voice.instance.{lease}.attempt', {
    direction: 'send',
    summary: 'What became of an attempt',
    payload: json(VoiceAttempt),
  }),
  broadcast: defineEvent('voice.broadcast.{channelName}', {
    direction: 'send',
    summary: 'Hand a notice to everybody in the channel',
    payload: json(Type.Object({ frame: Type.String() })),
  }),
  /** A notice that follows from an eviction: relayed, but changes no roster. */
  eviction: defineEvent('voice.eviction.{channelName}.{action}', {
    direction: 'send',
    stream: voiceEvictionStream,
    summary: 'exit_room or hang_up for those who stay',
    payload: noticePayload,
    refine: ({ channelName, action }, body) => refineNotice(action, body, channelName),
  }),
} as const
