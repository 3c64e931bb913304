import { LimitError } from '@carillon/codec'
import { type Market, topicOf } from './market.ts'
import type { Command } from './protocol.ts'

/** A market that is followed for a time. */
export interface Lease {
  readonly market: Market
  readonly expiresAtMs: number
}

/** What one connection follows, by topic. Immutable: a step makes the next one. */
export interface Session {
  readonly leases: ReadonlyMap<string, Lease>
}

export type Effect =
  | { readonly type: 'subscribe' | 'unsubscribe' | 'snapshot'; readonly market: Market }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }

export interface SessionLimits {
  readonly subscriptionsMax: number
  readonly subscriptionTtlMs: number
}

type Step = readonly [Session, readonly Effect[]]

export const emptySession: Session = { leases: new Map() }

/**
 * One command's outcome: the next session and what is to be done for it, in order.
 * @throws {LimitError} when the connection follows as many markets as it may; the session stays as it was.
 */
export function step(session: Session, command: Command, nowMs: number, limits: SessionLimits): Step {
  switch (command.type) {
    case 'follow':
      return follow(session, command.market, nowMs, limits)
    case 'unfollow':
      return end(session, command.markets.map(topicOf))
    case 'stop':
      return [session, [{ type: 'pause' }]]
    case 'start':
      return [session, [{ type: 'resume' }]]
    default:
      return command satisfies never
  }
}

/** Ends, silently, what has not been asked for again in time. */
export function expire(session: Session, nowMs: number): Step {
  const over = [...session.leases].filter(([, { expiresAtMs }]) => expiresAtMs <= nowMs)
  return end(
    session,
    over.map(([topic]) => topic),
  )
}

/** What is to be undone when the connection ends. */
export function leave(session: Session): readonly Effect[] {
  return end(session, [...session.leases.keys()])[1]
}

/** When the first lease ends, or undefined where there is none. */
export function nextExpiryMs({ leases }: Session): number | undefined {
  let next: number | undefined
  for (const { expiresAtMs } of leases.values())
    if (next === undefined || expiresAtMs < next) next = expiresAtMs
  return next
}

/** Each request begins the lease anew, and is answered with the market's quote as it stands. */
function follow({ leases }: Session, market: Market, nowMs: number, limits: SessionLimits): Step {
  const topic = topicOf(market)
  const known = leases.has(topic)
  if (!known && leases.size >= limits.subscriptionsMax) {
    throw new LimitError(
      'too_many_subscriptions',
      `a connection may follow ${limits.subscriptionsMax} markets`,
    )
  }
  const next = new Map(leases).set(topic, { market, expiresAtMs: nowMs + limits.subscriptionTtlMs })
  const snapshot: Effect = { type: 'snapshot', market }
  return [{ leases: next }, known ? [snapshot] : [{ type: 'subscribe', market }, snapshot]]
}

function end({ leases }: Session, topics: readonly string[]): Step {
  const left = new Map(leases)
  const effects = topics.flatMap((topic): Effect[] => {
    const lease = left.get(topic)
    return lease && left.delete(topic) ? [{ type: 'unsubscribe', market: lease.market }] : []
  })
  return [{ leases: left }, effects]
}
