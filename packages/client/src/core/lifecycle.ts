import { type BackOff, reconnectDelayMs } from './back-off.ts'
import { type CloseCodes, type CloseInfo, reconnectsAfter } from './close-code.ts'

/** The life of a connection, without a socket, a timer or a clock: times are monotonic milliseconds. */
export type Lifecycle = {
  /** Attempts that failed in a row. */
  readonly failures: number
} & Phase

type Phase =
  | { readonly type: 'idle' }
  /** Asking for the endpoint and the token, opening the socket, waiting for the protocol's greeting. */
  | { readonly type: 'connecting'; readonly deadlineMs: number }
  | {
      readonly type: 'open'
      readonly sinceMs: number
      readonly receivedAtMs: number
      readonly heartbeatAtMs: number
    }
  | { readonly type: 'waiting'; readonly untilMs: number; readonly close: CloseInfo }
  | { readonly type: 'closed'; readonly close: CloseInfo }

export type Input =
  | { readonly type: 'connect' }
  /** The endpoint and the token are known. */
  | { readonly type: 'prepared'; readonly url: string }
  /** The protocol's greeting is over: the application may use the connection. */
  | { readonly type: 'ready' }
  | { readonly type: 'received' }
  | ({ readonly type: 'ended' } & CloseInfo)
  /** The alarm rang. */
  | { readonly type: 'tick' }
  /** Drop the connection, if there is one, and connect now. */
  | { readonly type: 'reconnect' }
  | ({ readonly type: 'close' } & CloseInfo)

export type Effect =
  | { readonly type: 'prepare' }
  | { readonly type: 'open'; readonly url: string }
  | { readonly type: 'drop'; readonly close: CloseInfo }
  | { readonly type: 'heartbeat' }
  | { readonly type: 'silent' }

export interface Policy {
  readonly closeCodes: CloseCodes
  readonly backOff: BackOff
  readonly connectTimeoutMs: number
  /** Infinity where the protocol needs none. */
  readonly heartbeatMs: number
  /** A connection over which nothing came for as long is taken for dead; Infinity where silence says nothing. */
  readonly silenceMs: number
  /** From 0 to 1. */
  readonly random: number
}

export type Step = readonly [next: Lifecycle, effects: readonly Effect[]]

export const IDLE: Lifecycle = { type: 'idle', failures: 0 }
const SILENT: CloseInfo = { code: 4000, reason: 'connection silent' }
const TIMED_OUT: CloseInfo = { code: 1006, reason: 'connect timeout' }
/** A timer that rings later than this was held up: what came meanwhile may not have been read yet. */
const LATE_MS = 1_000

/** What becomes of a connection, and what is to be done. */
export function step(life: Lifecycle, input: Input, nowMs: number, policy: Policy): Step {
  switch (input.type) {
    case 'connect':
      return life.type === 'idle' || life.type === 'closed' ? attempt(0, nowMs, policy) : [life, []]
    case 'prepared':
      return [life, life.type === 'connecting' ? [{ type: 'open', url: input.url }] : []]
    case 'ready':
      if (life.type !== 'connecting') return [life, []]
      return [
        {
          type: 'open',
          failures: life.failures,
          sinceMs: nowMs,
          receivedAtMs: nowMs,
          heartbeatAtMs: nowMs + policy.heartbeatMs,
        },
        [],
      ]
    case 'received':
      return [life.type === 'open' ? { ...life, receivedAtMs: nowMs } : life, []]
    case 'ended':
      return ended(life, input, nowMs, policy)
    case 'tick':
      return tick(life, nowMs, policy)
    case 'reconnect': {
      // What is over begins again by `connect` alone: a network that is back does not undo it.
      if (life.type === 'idle' || life.type === 'closed') return [life, []]
      const [next, effects] = attempt(0, nowMs, policy)
      const close = { code: 1000, reason: 'reconnecting' }
      return [
        next,
        life.type === 'open' || life.type === 'connecting' ? [{ type: 'drop', close }, ...effects] : effects,
      ]
    }
    case 'close': {
      const close = { code: input.code, reason: input.reason }
      return life.type === 'closed'
        ? [life, []]
        : [{ type: 'closed', failures: 0, close }, [{ type: 'drop', close }]]
    }
    default:
      return input satisfies never
  }
}

/** When the next tick is due, or Infinity. */
export function alarmAtMs(life: Lifecycle, { silenceMs }: Pick<Policy, 'silenceMs'>): number {
  switch (life.type) {
    case 'connecting':
      return life.deadlineMs
    case 'open':
      return Math.min(life.heartbeatAtMs, life.receivedAtMs + silenceMs)
    case 'waiting':
      return life.untilMs
    default:
      return Infinity
  }
}

function attempt(failures: number, nowMs: number, { connectTimeoutMs }: Policy): Step {
  return [{ type: 'connecting', failures, deadlineMs: nowMs + connectTimeoutMs }, [{ type: 'prepare' }]]
}

function tick(life: Lifecycle, nowMs: number, policy: Policy): Step {
  switch (life.type) {
    case 'connecting': {
      if (nowMs < life.deadlineMs) return [life, []]
      const [next, effects] = ended(life, TIMED_OUT, nowMs, policy)
      return [next, [{ type: 'drop', close: TIMED_OUT }, ...effects]]
    }
    case 'waiting':
      return nowMs < life.untilMs ? [life, []] : attempt(life.failures, nowMs, policy)
    case 'open': {
      const overdueMs = nowMs - life.receivedAtMs - policy.silenceMs
      if (overdueMs > LATE_MS) {
        return [{ ...life, receivedAtMs: nowMs - policy.silenceMs + LATE_MS }, []]
      }
      if (overdueMs >= 0) {
        const [next, effects] = ended(life, SILENT, nowMs, { ...policy, closeCodes: { 4000: true } })
        return [next, [{ type: 'silent' }, { type: 'drop', close: SILENT }, ...effects]]
      }
      if (nowMs < life.heartbeatAtMs) return [life, []]
      return [{ ...life, heartbeatAtMs: nowMs + policy.heartbeatMs }, [{ type: 'heartbeat' }]]
    }
    default:
      return [life, []]
  }
}

function ended(life: Lifecycle, { code, reason }: CloseInfo, nowMs: number, policy: Policy): Step {
  if (life.type !== 'connecting' && life.type !== 'open') return [life, []]
  const close = { code, reason }
  const { backOff, closeCodes, random } = policy
  const wasStable = life.type === 'open' && nowMs - life.sinceMs >= backOff.stableMs
  const failures = wasStable ? 0 : life.failures
  if (!reconnectsAfter(code, closeCodes) || failures + 1 >= backOff.attemptsMax) {
    return [{ type: 'closed', failures: 0, close }, []]
  }
  const untilMs = nowMs + reconnectDelayMs(failures, backOff, random)
  return [{ type: 'waiting', failures: failures + 1, untilMs, close }, []]
}
