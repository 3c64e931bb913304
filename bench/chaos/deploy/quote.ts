import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { QuoteClient } from '@carillon/client/quote'
import { quote } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { LatestValue } from './latest-value.ts'
import { connectionOptions, countSessions } from './library-client.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const MARKETS = 10
const PUBLISH_MS = 200
const EVENT_ID = 'rollout'

/** Clients that follow a market each. Quotes replace one another: what counts is the last one. */
export function quoteTraffic(options: TrafficOptions): Traffic {
  const { clients, bus, sessions } = options
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
  const punters = Array.from({ length: clients }, (_, i) => {
    const { topic, saw } = prices.follow(i)
    const client = new QuoteClient({
      ...connectionOptions(options),
      token() {
        const expires_at = new Date(Date.now() + 3_600_000).toISOString()
        return signToken(DEVELOPMENT_SECRET, { user_id: `u${i}`, expires_at })
      },
    })
    client.on('quote', ({ items: [item] }) => {
      if (item && 'price' in item) saw(Number(item.price))
    })
    client.follow({ kind: 'chloe', eventId: EVENT_ID, marketId: String(topic) })
    return { client, stop: countSessions(client, `punter ${i}`, sessions) }
  })
  return {
    async start() {
      await Promise.all(punters.map(({ client }) => client.connect()))
      await eventually(() => sessions.connected === clients, 60_000)
      prices.start(PUBLISH_MS)
    },
    finish: () => prices.finish(),
    stop() {
      prices.stop()
      for (const { stop } of punters) stop()
    },
  }
}
