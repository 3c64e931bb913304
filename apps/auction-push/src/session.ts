import { LimitError } from '@carillon/codec'
import type { Command, Subscription } from './protocol.ts'

/** What one connection follows. Immutable: a step makes the next one. */
export interface Session {
  readonly subscriptions: readonly Subscription[]
}

export type Effect =
  | { readonly type: 'subscribe'; readonly subscription: Subscription }
  | { readonly type: 'unsubscribe'; readonly subscription: Subscription }
  | { readonly type: 'reply' }
  | { readonly type: 'recover'; readonly subscription: Subscription }

export const emptySession: Session = { subscriptions: [] }

/**
 * One command's outcome: the next session and what is to be done for it, in order.
 * @throws {LimitError} `too_many_subscriptions`; the session stays as it was.
 */
export function step(
  session: Session,
  command: Command,
  limits: { readonly subscriptionsMax: number },
): readonly [Session, readonly Effect[]] {
  switch (command.type) {
    case 'subscribe':
      return subscribe(session, command, limits.subscriptionsMax)
    case 'cancel':
      return cancel(session, command)
    default:
      return command satisfies never
  }
}

/** What is to be undone when the connection ends. */
export function leave(session: Session): readonly Effect[] {
  return session.subscriptions.map(unsubscribe)
}

function subscribe(
  { subscriptions }: Session,
  { event, auctionId, single, recover }: Command & { readonly type: 'subscribe' },
  subscriptionsMax: number,
): readonly [Session, readonly Effect[]] {
  // `single` replaces what this connection follows of the same event, and only of that.
  const replaced = single
    ? subscriptions.filter((each) => each.event === event && each.auctionId !== auctionId)
    : []
  const kept = replaced.length > 0 ? subscriptions.filter((each) => !replaced.includes(each)) : subscriptions
  const known = kept.find((each) => each.event === event && each.auctionId === auctionId)
  if (known === undefined && kept.length >= subscriptionsMax) {
    const message = `a connection may have ${subscriptionsMax} subscriptions`
    throw new LimitError('too_many_subscriptions', message, 'auction_subscribe')
  }
  const subscription = known ?? { event, auctionId }
  return [
    { subscriptions: known ? kept : [...kept, subscription] },
    [
      ...replaced.map(unsubscribe),
      ...(known ? [] : [{ type: 'subscribe', subscription } as const]),
      { type: 'reply' },
      ...(recover ? [{ type: 'recover', subscription } as const] : []),
    ],
  ]
}

function cancel(
  { subscriptions }: Session,
  { event, auctionId }: Subscription,
): readonly [Session, readonly Effect[]] {
  const left = subscriptions.filter((each) => each.event !== event || each.auctionId !== auctionId)
  const gone = subscriptions.filter((each) => !left.includes(each))
  return [{ subscriptions: left }, [...gone.map(unsubscribe), { type: 'reply' }]]
}

function unsubscribe(subscription: Subscription): Effect {
  return { type: 'unsubscribe', subscription }
}
