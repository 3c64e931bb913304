import { AuctionClient } from '@carillon/client/auction'
import { auction } from '@carillon/events'
import { eventually, loginToken } from '@carillon/testkit'
import { LatestValue } from './latest-value.ts'
import { connectionOptions, countSessions } from './library-client.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const AUCTIONS = 10
const PUBLISH_MS = 200

/** Bidders that follow an auction each; after a reconnect they ask for the last bid. */
export function auctionTraffic(options: TrafficOptions): Traffic {
  const { clients, bus, sessions } = options
  const bids = new LatestValue(AUCTIONS, (topic, amount) => {
    if (!bus.connected) return
    const bid = { auctionId: topic + 1, amount, nickName: 'nick', avatar: '', userId: 1 }
    bus.publish(auction.bid, { auctionId: String(topic + 1) }, bid)
  })
  const bidders = Array.from({ length: clients }, (_, i) => {
    const { topic, saw } = bids.follow(i)
    const client = new AuctionClient({ ...connectionOptions(options), token: () => loginToken(i + 1) })
    client.on('bid', ({ amount }) => saw(amount))
    const stop = countSessions(client, `bidder ${i}`, sessions)
    return { client, auctionId: topic + 1, stop }
  })
  return {
    async start() {
      const subscribed = bidders.map(({ client, auctionId }) => {
        client.connect()
        return client.subscribe('bid', auctionId, { single: true, recover: true })
      })
      await Promise.all(subscribed)
      await eventually(() => sessions.connected === clients, 60_000)
      bids.start(PUBLISH_MS)
    },
    finish: () => bids.finish(),
    stop() {
      bids.stop()
      for (const { stop } of bidders) stop()
    },
  }
}
