/** The wire of auction-push, as its PROTOCOL.md tells it. */

export type AuctionEvent = 'bid' | 'delay_close_time' | 'finish' | 'enter'

export interface Bid {
  readonly auctionId: number
  /** In the unit of the publisher. */
  readonly amount: number
  readonly userId: number
  readonly nickName: string
  readonly avatar: string
}

export interface DelayCloseTime {
  readonly auctionId: number
  /** Milliseconds since the epoch. */
  readonly closeTime: number
}

export interface Finish {
  readonly auctionId: number
  readonly finalPrice: number
  readonly finalUserId: number
  readonly orderNo: string
  readonly nickName?: string
}

export interface Enter {
  readonly auctionId: number
  readonly userId: number
  readonly nickName: string
  readonly avatar: string
}

export interface AuctionPayloads {
  readonly bid: Bid
  readonly delay_close_time: DelayCloseTime
  readonly finish: Finish
  readonly enter: Enter
}

/** By close code: does the client connect again? */
export const auctionCloseCodes = { 1012: true, 1013: true, 4401: true, 4403: false, 4408: true, 4429: false }
