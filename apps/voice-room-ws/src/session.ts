import { isSigned, type SignOptions } from '@carillon/auth'
import { ProtocolError } from '@carillon/codec'
import type { ReportAction } from './notice.ts'
import { type ErrorCode, refusal, type SignedCommand } from './protocol.ts'

/** One connection's state, from its online_token on. Immutable: a step makes the next one. */
export interface Session {
  readonly userId: string
  readonly sid: string
  /** In milliseconds since the epoch; undefined where the verifier did not say. */
  readonly sidExpiresAtMs: number | undefined
  readonly onlineToken: string
  /** Refused frames in a row. */
  readonly refusals: number
  /** The newest timestamp there was, in whole seconds. */
  readonly newestTimestampS: number
}

export type Effect =
  /** The client lives: its heartbeat begins anew. */
  | { readonly type: 'heartbeat' }
  | {
      readonly type: 'report'
      readonly action: ReportAction
      readonly userId: string
      readonly channelName: string
      readonly timestampMs: number
    }
  | { readonly type: 'refuse'; readonly error: ProtocolError }
  /** Refused too often in a row. */
  | { readonly type: 'close' }

export interface SessionRules {
  readonly sign: SignOptions
  /** How far a timestamp may be from our time, in milliseconds; 0 for any distance. */
  readonly skewMs: number
}

/** What the step cannot know by itself. */
export interface SessionContext {
  /** Wall time, in milliseconds since the epoch. */
  readonly nowMs: number
  /** The channels the user is in: a room, a call, or both. */
  readonly channels: readonly string[]
}

type Step = readonly [Session, readonly Effect[]]

const REFUSALS_MAX = 3

export function openSession(of: Pick<Session, 'userId' | 'sid' | 'sidExpiresAtMs' | 'onlineToken'>): Session {
  return { ...of, refusals: 0, newestTimestampS: 0 }
}

/** One command's outcome, or that of a frame that was none: the next session and what is to be done, in order. */
export function step(
  session: Session,
  received: SignedCommand | ProtocolError,
  rules: SessionRules,
  context: SessionContext,
): Step {
  if (received instanceof ProtocolError) return refuse(session, received)
  const problem = problemOf(session, received, rules, context.nowMs)
  if (problem !== undefined) return refuse(session, refusal(problem, received.action))
  const { command, timestampMs } = received
  const newestTimestampS = Math.max(session.newestTimestampS, Math.floor(timestampMs / 1_000))
  const next: Session = { ...session, refusals: 0, newestTimestampS }
  switch (command.type) {
    case 'ping':
      return [next, [{ type: 'heartbeat' }]]
    case 'report': {
      const { action, userId, channelName = context.channels[0] } = command
      if (channelName === undefined || !context.channels.includes(channelName))
        return refuse(session, refusal('not_in_room', action))
      return [next, [{ type: 'report', action, userId, channelName, timestampMs }]]
    }
    default:
      return command satisfies never
  }
}

function problemOf(
  session: Session,
  { onlineToken, sid, timestampMs, fields }: SignedCommand,
  { sign, skewMs }: SessionRules,
  nowMs: number,
): ErrorCode | undefined {
  if (!isSigned(fields, sign)) return 'bad_sign'
  if (onlineToken !== session.onlineToken) return 'foreign_token'
  if (sid !== session.sid) return 'foreign_sid'
  if (session.sidExpiresAtMs !== undefined && session.sidExpiresAtMs <= nowMs) return 'sid_expired'
  if (skewMs > 0) {
    // Seconds, since a client may send them in one frame and milliseconds in the next.
    const older = Math.floor(timestampMs / 1_000) < session.newestTimestampS
    if (older || Math.abs(nowMs - timestampMs) > skewMs) return 'stale_timestamp'
  }
  return undefined
}

function refuse(session: Session, error: ProtocolError): Step {
  const next = { ...session, refusals: session.refusals + 1 }
  const effects: Effect[] = [{ type: 'refuse', error }]
  if (next.refusals >= REFUSALS_MAX) effects.push({ type: 'close' })
  return [next, effects]
}
