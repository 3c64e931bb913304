import { LimitError } from '@carillon/codec'
import type { Market } from './market.ts'
import type { Command } from './protocol.ts'

export type Effect =
  | { readonly type: 'subscribe' | 'snapshot'; readonly market: Market }
  | { readonly type: 'unsubscribe'; readonly topic: string }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }

export interface SessionLimits {
  /** Markets of this connection. */
  readonly subscriptionsMax: number
  readonly subscriptionTtlMs: number
  /** Why the user or the instance may not follow one more, or undefined where they may. */
  readonly refusal: (topic: string) => string | undefined
}

/**
 * What one connection follows: a lease for each topic, in the order in which they end. All are of one length, so
 * that the one that was asked for last ends last. A step changes it in place and takes constant time, however much
 * is followed. It has no clock and no socket in it.
 */
export class Session {
  /** When each lease ends, by the monotonic clock. */
  readonly #leases = new Map<string, number>()

  get size(): number {
    return this.#leases.size
  }

  get topics(): readonly string[] {
    return [...this.#leases.keys()]
  }

  /** When the first lease ends, or undefined where there is none. */
  get nextExpiryMs(): number | undefined {
    return this.#leases.values().next().value
  }

  has(topic: string): boolean {
    return this.#leases.has(topic)
  }

  renew(topic: string, expiresAtMs: number): void {
    // Deleted first, so that it moves to the end.
    this.#leases.delete(topic)
    this.#leases.set(topic, expiresAtMs)
  }

  end(topic: string): boolean {
    return this.#leases.delete(topic)
  }

  /** Ends what ends by then; answers the topics. */
  expire(nowMs: number): string[] {
    const expired: string[] = []
    for (const [topic, expiresAtMs] of this.#leases) {
      if (expiresAtMs > nowMs) break
      this.#leases.delete(topic)
      expired.push(topic)
    }
    return expired
  }
}

/**
 * Changes the session by one command; answers what is to be done for it, in order.
 * @throws {LimitError} when as many markets are followed as may be; the session stays as it was.
 */
export function step(
  session: Session,
  command: Command,
  nowMs: number,
  limits: SessionLimits,
): readonly Effect[] {
  switch (command.type) {
    case 'follow':
      return follow(session, command.market, nowMs, limits)
    case 'unfollow':
      return command.markets.flatMap((market) => end(session, market))
    case 'stop':
      return [{ type: 'pause' }]
    case 'start':
      return [{ type: 'resume' }]
    default:
      return command satisfies never
  }
}

/** Ends, silently, what has not been asked for again in time. */
export function expire(session: Session, nowMs: number): readonly Effect[] {
  return session.expire(nowMs).map(unsubscribe)
}

/** The connection has ended: what is to be undone. */
export function leave(session: Session): readonly Effect[] {
  return expire(session, Number.POSITIVE_INFINITY)
}

/** Each request begins the lease anew, and is answered with the market's quote as it stands. */
function follow(session: Session, market: Market, nowMs: number, limits: SessionLimits): readonly Effect[] {
  const known = session.has(market.topic)
  if (!known) checkLimits(session, market, limits)
  session.renew(market.topic, nowMs + limits.subscriptionTtlMs)
  const snapshot: Effect = { type: 'snapshot', market }
  return known ? [snapshot] : [{ type: 'subscribe', market }, snapshot]
}

function checkLimits(session: Session, market: Market, { subscriptionsMax, refusal }: SessionLimits): void {
  const message =
    session.size >= subscriptionsMax
      ? `a connection may follow ${subscriptionsMax} markets`
      : refusal(market.topic)
  if (message !== undefined) throw new LimitError('too_many_subscriptions', message)
}

function end(session: Session, { topic }: Market): Effect[] {
  return session.end(topic) ? [unsubscribe(topic)] : []
}

function unsubscribe(topic: string): Effect {
  return { type: 'unsubscribe', topic }
}
