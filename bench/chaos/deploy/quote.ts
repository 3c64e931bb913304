import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { quote } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { LatestValue } from './latest-value.ts'
import { ReconnectingSocket } from './reconnecting-socket.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const MARKETS = 10
const PUBLISH_MS = 200
const EVENT_ID = 'rollout'

/** Clients that follow a market each. Quotes replace one another: what counts is the last one. */
export function quoteTraffic({ clients, bus, endPoints, sessions }: TrafficOptions): Traffic {
  const prices = new LatestValue(MARKETS, (topic, price) => {
    if (!bus.connected) return
    const marketId = String(topic)
    const item = {
      event_id: EVENT_ID,
      market_id: marketId,
      product_id: '1',
      price: String(price),
      status: '1',
    }
    bus.publish(quote.chloe, { eventId: EVENT_ID, marketId }, [item])
  })
  const sockets = Array.from({ length: clients }, (_, i) => {
    const { topic, saw } = prices.follow(i)
    return new ReconnectingSocket({
      ...{ name: `punter ${i}`, service: 'quote', endPoints, sessions, finalCodes: [4403, 4429] },
      async path() {
        const expires_at = new Date(Date.now() + 3_600_000).toISOString()
        const token = await signToken(DEVELOPMENT_SECRET, { user_id: `u${i}`, expires_at })
        return `/quote/do-not-look-back?authorization=bearer%20${token}`
      },
      opened: (send) =>
        send(JSON.stringify({ commend: `order-slip-quote@chloe-market#${EVENT_ID}@${topic}` })),
      received(frame) {
        const { type, data } = JSON.parse(frame)
        if (type === 'order-slip') saw(Number(data[0].price))
      },
    })
  })
  return {
    async start() {
      await Promise.all(sockets.map((socket) => socket.connect()))
      await eventually(() => sessions.connected === clients, 60_000)
      prices.start(PUBLISH_MS)
    },
    finish: () => prices.finish(),
    stop() {
      prices.stop()
      for (const socket of sockets) socket.stop()
    },
  }
}
