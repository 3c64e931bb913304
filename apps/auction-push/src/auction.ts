import { type AuctionEvent, auction } from '@carillon/events'
import type { Subscription } from './protocol.ts'

export type AuctionChannel = (typeof auction)[AuctionEvent]

const names = new Map(Object.entries(auction).map(([name, channel]) => [channel, name as AuctionEvent]))

/** The event's name on the wire. */
export function eventOf(channel: AuctionChannel): AuctionEvent {
  return names.get(channel) as AuctionEvent
}

/** The topic of a subscription is its NATS subject: what is published there is what the subscribers get. */
export function topicOf({ event, auctionId }: Subscription): string {
  return auction[event].subject({ auctionId })
}
