import { LimitError } from '@carillon/codec'
import type { AuctionEvent } from '@carillon/events'
import { topicOf } from './auction.ts'
import type { Command, Subscription } from './protocol.ts'

export type Effect =
  | { readonly type: 'subscribe'; readonly subscription: Subscription }
  | { readonly type: 'unsubscribe'; readonly subscription: Subscription }
  | { readonly type: 'reply' }
  | { readonly type: 'recover'; readonly subscription: Subscription }

export interface SessionLimits {
  /** Subscriptions of this connection. */
  readonly subscriptionsMax: number
  /** Why the user or the instance may not have one more, or undefined where they may. */
  readonly refusal: (topic: string) => string | undefined
}

/**
 * What one connection follows. A step changes it in place and takes constant time, however much that is: a copy
 * for each command would let a client with many subscriptions take the process from everybody. It has no clock and
 * no socket in it.
 */
export class Session {
  /** Most clients follow one auction: a set for it would weigh more than everything else here. */
  readonly #auctions: Partial<Record<AuctionEvent, string | Set<string> | undefined>> = {}
  #size = 0

  get size(): number {
    return this.#size
  }

  has({ event, auctionId }: Subscription): boolean {
    const auctions = this.#auctions[event]
    return auctions instanceof Set ? auctions.has(auctionId) : auctions === auctionId
  }

  *subscriptions(): Iterable<Subscription> {
    for (const event of Object.keys(this.#auctions)) yield* this.subscriptionsOf(event as AuctionEvent)
  }

  *subscriptionsOf(event: AuctionEvent): Iterable<Subscription> {
    const auctions = this.#auctions[event]
    if (auctions instanceof Set) for (const auctionId of auctions) yield { event, auctionId }
    else if (auctions !== undefined) yield { event, auctionId: auctions }
  }

  /** Adds one that it does not have. */
  add({ event, auctionId }: Subscription): void {
    const auctions = this.#auctions[event]
    if (auctions instanceof Set) auctions.add(auctionId)
    else this.#auctions[event] = auctions === undefined ? auctionId : new Set([auctions, auctionId])
    this.#size += 1
  }

  remove(subscription: Subscription): boolean {
    if (!this.has(subscription)) return false
    const { event, auctionId } = subscription
    const auctions = this.#auctions[event]
    if (auctions instanceof Set) auctions.delete(auctionId)
    else this.#auctions[event] = undefined
    this.#size -= 1
    return true
  }
}

/**
 * Changes the session by one command; answers what is to be done for it, in order.
 * @throws {LimitError} `too_many_subscriptions`; the session stays as it was.
 */
export function step(session: Session, command: Command, limits: SessionLimits): readonly Effect[] {
  switch (command.type) {
    case 'subscribe':
      return subscribe(session, command, limits)
    case 'cancel':
      return [...unsubscribe(session, command), { type: 'reply' }]
    default:
      return command satisfies never
  }
}

/** The connection has ended: what is to be undone. */
export function leave(session: Session): readonly Effect[] {
  return [...session.subscriptions()].flatMap((subscription) => unsubscribe(session, subscription))
}

function subscribe(
  session: Session,
  { event, auctionId, single, recover }: Command & { readonly type: 'subscribe' },
  limits: SessionLimits,
): readonly Effect[] {
  const subscription = { event, auctionId }
  const known = session.has(subscription)
  // `single` replaces what this connection follows of the same event, and only of that.
  const replaced = single
    ? [...session.subscriptionsOf(event)].filter((each) => each.auctionId !== auctionId)
    : []
  if (!known && replaced.length === 0) checkLimits(session, subscription, limits)
  const effects = replaced.flatMap((each) => unsubscribe(session, each))
  if (!known) {
    session.add(subscription)
    effects.push({ type: 'subscribe', subscription })
  }
  effects.push({ type: 'reply' })
  if (recover) effects.push({ type: 'recover', subscription })
  return effects
}

function checkLimits(session: Session, subscription: Subscription, limits: SessionLimits): void {
  const { subscriptionsMax, refusal } = limits
  const message =
    session.size >= subscriptionsMax
      ? `a connection may have ${subscriptionsMax} subscriptions`
      : refusal(topicOf(subscription))
  if (message !== undefined) throw new LimitError('too_many_subscriptions', message, 'auction_subscribe')
}

function unsubscribe(session: Session, { event, auctionId }: Subscription): Effect[] {
  const subscription = { event, auctionId }
  return session.remove(subscription) ? [{ type: 'unsubscribe', subscription }] : []
}
