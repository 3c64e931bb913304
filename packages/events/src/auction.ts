import { type Static, type TSchema, Type } from 'typebox'
import { agreesWithSubject, defineEvent } from './channel.ts'
import { json } from './payload.ts'
import { Id, Millis } from './schemas.ts'
import { DAY_MS, type StreamDefinition } from './storage.ts'

/** The last message of every auction and event, for subscribers who come late. */
export const auctionStream: StreamDefinition = {
  name: 'AUCTION',
  summary: 'The last message of every auction event',
  subjects: ['auction.*.bid', 'auction.*.delay_close_time', 'auction.*.finish', 'auction.*.enter'],
  messagesPerSubject: 1,
  maxAgeMs: 7 * DAY_MS,
  storage: 'file',
}

/** Amounts are opaque integers: no currency and no unit is assumed. */
const Amount = Type.Integer()

export const Bid = Type.Object(
  { amount: Amount, nickName: Type.String(), avatar: Type.String(), userId: Id, auctionId: Id },
  { $id: 'AuctionBid' },
)
export const DelayCloseTime = Type.Object(
  { auctionId: Id, closeTime: Millis },
  { $id: 'AuctionDelayCloseTime' },
)
export const Finish = Type.Object(
  {
    auctionId: Id,
    finalPrice: Amount,
    finalUserId: Id,
    orderNo: Type.String(),
    nickName: Type.Optional(Type.String()),
  },
  { $id: 'AuctionFinish' },
)
export const Enter = Type.Object(
  { auctionId: Id, userId: Id, nickName: Type.String(), avatar: Type.String() },
  { $id: 'AuctionEnter' },
)

export type Bid = Static<typeof Bid>
export type DelayCloseTime = Static<typeof DelayCloseTime>
export type Finish = Static<typeof Finish>
export type Enter = Static<typeof Enter>

const event = <const N extends string, S extends TSchema>(name: N, summary: string, schema: S) =>
  defineEvent(`auction.{auctionId}.${name}`, {
    summary,
    payload: json(schema),
    direction: 'receive',
    stream: auctionStream,
    refine: agreesWithSubject('auctionId'),
  })

/** The auction domain's channels, by the event's name on the wire. */
export const auction = {
  bid: event('bid', 'A user has bid', Bid),
  delay_close_time: event('delay_close_time', 'A bid has moved the closing time', DelayCloseTime),
  finish: event('finish', 'The auction is settled', Finish),
  enter: event('enter', 'A user has entered the auction', Enter),
} as const

export type AuctionEvent = keyof typeof auction
