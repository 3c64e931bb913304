import { auction } from '@carillon/events'
import { eventually, loginToken } from '@carillon/testkit'
import { LatestValue } from './latest-value.ts'
import { ReconnectingSocket } from './reconnecting-socket.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const AUCTIONS = 10
const PUBLISH_MS = 200
const PING_MS = 10_000

/** Bidders that follow an auction each; after a reconnect they ask for the last bid. */
export function auctionTraffic({ clients, bus, endPoints, sessions }: TrafficOptions): Traffic {
  const bids = new LatestValue(AUCTIONS, (topic, amount) => {
    if (!bus.connected) return
    const bid = { auctionId: topic + 1, amount, nickName: 'nick', avatar: '', userId: 1 }
    bus.publish(auction.bid, { auctionId: String(topic + 1) }, bid)
  })
  const sockets = Array.from({ length: clients }, (_, i) => {
    const { topic, saw } = bids.follow(i)
    const subscribe = JSON.stringify({
      key: 'auction_subscribe',
      data: { event: 'bid', auctionId: String(topic + 1), single: true, recover: true },
    })
    return new ReconnectingSocket({
      ...{ name: `bidder ${i}`, service: 'auction', endPoints, sessions, finalCodes: [4403, 4429] },
      path: async () => `/ws/${await loginToken(i + 1)}`,
      opened: (send) => send(subscribe),
      received(frame) {
        if (frame === 'success') return
        const { event, data } = JSON.parse(frame)
        if (event === 'bid') saw(data.amount)
      },
    })
  })
  let pinger: NodeJS.Timeout | undefined
  return {
    async start() {
      await Promise.all(sockets.map((socket) => socket.connect()))
      await eventually(() => sessions.connected === clients, 60_000)
      bids.start(PUBLISH_MS)
      // An idle client is closed, whatever it is sent; a bidder that stays says so.
      pinger = setInterval(() => {
        for (const socket of sockets) socket.ping()
      }, PING_MS)
    },
    finish: () => bids.finish(),
    stop() {
      clearInterval(pinger)
      bids.stop()
      for (const socket of sockets) socket.stop()
    },
  }
}
