import { quote, quoteStream } from '@carillon/events'
import { eventually, NatsCluster, type WebSocketClient } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { bootQuote, connectQuote, type QuoteInteract } from './quote.ts'

const SLOW_MS = 60_000
const MARKETS = 50

let cluster: NatsCluster
let services: QuoteInteract[]
beforeEach(async () => {
  cluster = await NatsCluster.start()
  services = []
})
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop()))
  await cluster.stop()
})

async function boot(node: number): Promise<QuoteInteract> {
  // Its own node first known; the cluster tells of the others.
  const service = await bootQuote({ url: cluster.urlOf(node) }, { NATS_REPLICAS: '3' })
  services.push(service)
  await eventually(async () => (await readyz(service)) === 200, SLOW_MS)
  return service
}
const readyz = async (service: QuoteInteract) =>
  (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).status

function pricesOf(client: WebSocketClient): Map<string, number> {
  const prices = new Map<string, number>()
  for (const frame of client.frames) {
    const { type, data } = JSON.parse(frame)
    if (type === 'order-slip') prices.set(data[0].market_id, Number(data[0].price))
  }
  return prices
}

/** Publishes a quote until it is stored, as publishers that care do. */
async function store({ bus }: QuoteInteract, market: string, price: number): Promise<void> {
  const item = { event_id: 'e', market_id: market, product_id: '1', price: String(price), status: '1' }
  await eventually(
    () =>
      bus
        .publishStored(quote.chloe, { eventId: 'e', marketId: market }, [item], { timeoutMs: 2_000 })
        .then(() => true),
    SLOW_MS,
  )
}

test.each(['killed', 'frozen'] as const)(
  'the node that leads the stream, and holds a gateway, is %s under load: the last quotes arrive everywhere',
  async (how) => {
    const setup = await boot(0)
    const leader = await cluster.leaderOf(quoteStream.name)
    const [near, far] = [await boot(leader), await boot((leader + 1) % 3)]
    const publisher = leader === 2 ? setup : await boot(2)
    const clients = [await connectQuote(near), await connectQuote(far)]
    const markets = Array.from({ length: MARKETS }, (_, i) => `m${i}`)
    for (const client of clients) {
      for (const market of markets) client.send({ commend: `order-slip-quote@chloe-market#e@${market}` })
    }
    const last = new Map<string, number>()
    let price = 0
    let pouring = true
    const pour = async (mine: readonly string[]) => {
      while (pouring) {
        for (const market of mine) {
          const mineNow = ++price
          await store(publisher, market, mineNow)
          last.set(market, mineNow)
        }
      }
    }
    const pours = Promise.all([0, 1, 2, 3].map((n) => pour(markets.filter((_, i) => i % 4 === n))))
    await eventually(() => clients.every((client) => pricesOf(client).size === MARKETS), SLOW_MS)

    if (how === 'killed') await cluster.kill(leader)
    else cluster.freeze(leader)
    // Long enough for everybody to notice, and to come back by another node.
    await eventually(() => near.bus.reconnects === 1 && near.bus.connected, SLOW_MS)
    const reached = price
    await eventually(() => markets.every((market) => (last.get(market) ?? 0) > reached), SLOW_MS)
    if (how === 'killed') await cluster.resume(leader)
    else cluster.thaw(leader)
    pouring = false
    await pours

    const expected = new Map([...last].sort())
    for (const client of clients) {
      await eventually(() => expect(new Map([...pricesOf(client)].sort())).toEqual(expected), SLOW_MS)
      expect(client.closed).toBeUndefined()
    }
    // A newcomer is given the same, by whichever instance.
    for (const service of [near, far]) {
      const late = await connectQuote(service)
      for (const market of markets) late.send({ commend: `order-slip-quote@chloe-market#e@${market}` })
      await eventually(() => expect(new Map([...pricesOf(late)].sort())).toEqual(expected), SLOW_MS)
      late.close()
    }
    await eventually(async () => (await readyz(near)) === 200, SLOW_MS)
    for (const client of clients) client.close()
  },
  240_000,
)
