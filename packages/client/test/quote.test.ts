import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { eventually, NatsServer, publishRaw } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { type ClientError, type Quote, QuoteClient, type QuoteOptions } from '../src/index.ts'
import { bootQuote, openNetwork, reconnect, urlOf, WebSocket } from './fleet.ts'

let nats: NatsServer
const cleanups: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => nats.stop())

async function boot(...args: [environment?: Record<string, string>]) {
  const service = await bootQuote(nats, ...args)
  cleanups.push(() => service.stop())
  return service
}

const token = () =>
  signToken(DEVELOPMENT_SECRET, { user_id: 'u1', expires_at: '2130-02-10T00:00:00.000000634Z' })

function clientOf(endpoint: QuoteOptions['endpoint'], options: Partial<QuoteOptions> = {}) {
  const client = new QuoteClient({ endpoint, token, WebSocket, reconnect, ...options })
  cleanups.push(() => client.close())
  const errors: ClientError[] = []
  const sent: string[] = []
  client.on('error', (error) => errors.push(error))
  client.on('frame', ({ direction, data }) => direction === 'out' && sent.push(String(data)))
  return Object.assign(client, { errors, sent })
}

const chloe = (eventId: string, marketId = '1_31260330') => ({ kind: 'chloe', eventId, marketId }) as const
const fancy = (eventId: string, marketId = '878_55854706_f') =>
  ({ kind: 'fancy', eventId, marketId }) as const
const priceOf = (quote: Quote<'chloe'> | undefined) => quote?.items[0]?.price

function publish({ eventId, marketId }: ReturnType<typeof chloe>, price: string) {
  const item = { event_id: eventId, market_id: marketId, product_id: '1', price, status: '1' }
  return publishRaw(nats.port, `quote.chloe.${eventId}.${marketId}`, JSON.stringify([item]))
}

function publishFancy({ eventId, marketId }: ReturnType<typeof fancy>, bl: string) {
  const item = { mid: marketId, pid: '1', bl, bo: '0', ll: '181', lo: '0', status: '-3' }
  return publishRaw(nats.port, `quote.fancy.${eventId}.${marketId}`, JSON.stringify([item]))
}

describe('markets', () => {
  test('the last known quote comes first, then every change; leaving the loop lets go of the market', async () => {
    const service = await boot()
    const market = chloe('101-e')
    await publish(market, '1.61')
    const client = clientOf(urlOf(service.listener.port))
    const quotes = client.quotes(market)
    await client.connect()
    expect((await quotes.next()).value).toMatchObject({ ...market, items: [{ price: '1.61' }] })
    await publish(market, '1.70')
    expect(priceOf((await quotes.next()).value)).toBe('1.70')
    await quotes.return()
    await eventually(() =>
      [...service.listener.connections].every((each) => each.report().subscriptions.length === 0),
    )
    expect(client.errors).toEqual([])
  })

  test('both kinds of one market: letting go of one keeps the other', async () => {
    const service = await boot()
    const [sport, lines] = [chloe('111-e', 'm'), fancy('111-e', 'm')]
    const client = clientOf(urlOf(service.listener.port))
    const bets: string[] = []
    client.on('quote', (quote) => bets.push(quote.kind))
    await client.connect()
    client.follow(sport)
    client.follow(lines)
    await eventually(() => [...service.listener.connections][0]?.report().subscriptions.length === 2)
    client.unfollow(sport)
    await eventually(() => client.sent.length === 4)
    await eventually(() => [...service.listener.connections][0]?.report().subscriptions.length === 1)
    await service.bus.roundTrip()
    await publish(sport, '1')
    await publishFancy(lines, '181')
    await eventually(() => bets.length === 1)
    expect(bets).toEqual(['fancy'])
  })

  test('a loop that is slower than the market gets the newest quote', async () => {
    const service = await boot()
    const market = chloe('121-e')
    const client = clientOf(urlOf(service.listener.port))
    const prices: string[] = []
    client.on('quote', (quote) => prices.push(quote.kind === 'chloe' ? (priceOf(quote) as string) : ''))
    const quotes = client.quotes(market)
    await client.connect()
    await publish(market, '1')
    await eventually(() => prices.includes('1'))
    await publish(market, '2')
    await eventually(() => prices.includes('2'))
    expect(priceOf((await quotes.next()).value)).toBe('2')
    expect(quotes.dropped).toBeGreaterThan(0)
  })

  test('what makes no sense is refused here, what the server refuses is an error', async () => {
    const service = await boot({ QUOTE_MAX_SUBSCRIPTIONS: '1' })
    const client = clientOf(urlOf(service.listener.port))
    expect(() => client.follow(chloe('a#b'))).toThrow('no market')
    await client.connect()
    client.follow(chloe('131-e'))
    client.follow(chloe('132-e'))
    await eventually(() => client.errors.length === 1)
    expect(client.errors[0]?.code).toBe('refused')
  })

  test('markets are asked for again before the server lets go of them', async () => {
    const service = await boot()
    const client = clientOf(urlOf(service.listener.port), { renewalMs: 50 })
    client.follow(chloe('141-e'))
    await client.connect()
    await eventually(() => client.sent.length > 3)
    expect(new Set(client.sent).size).toBe(1)
  })
})

test('a cut network: the snapshot of every market comes again, and what is paused stays so', async () => {
  const service = await boot()
  const network = await openNetwork(service.listener.port)
  cleanups.push(() => network.close())
  const market = chloe('201-e')
  const client = clientOf(network.webSocketUrl)
  const quotes = client.quotes(market)
  await client.connect()
  await publish(market, '1')
  expect(priceOf((await quotes.next()).value)).toBe('1')
  client.pause()
  network.cut()
  await eventually(() => client.state.type !== 'open')
  await publish(market, '2')
  client.sent.length = 0
  network.restore()
  await eventually(() => client.sent.length === 2)
  expect(client.sent[0]).toBe('{"commend":"stop"}')
  client.resume()
  await eventually(async () => priceOf((await quotes.next()).value) === '2')
})
