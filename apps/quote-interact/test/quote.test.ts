import { quoteStream, settingsBucket } from '@carillon/events'
import { eventually, ManualClock, NatsServer, publishRaw } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { bootQuote, connectQuote, type QuoteInteract, settled } from './quote.ts'

let nats: NatsServer
const services: QuoteInteract[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
})
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()))
})
afterAll(async () => nats?.stop())

async function boot(...args: Parameters<typeof bootQuote> extends [unknown, ...infer R] ? R : never) {
  const service = await bootQuote(nats, ...args)
  services.push(service)
  await eventually(() => service.bus.connected)
  await eventually(() =>
    service.bus
      .stream(quoteStream)
      .ensure()
      .then(() => true),
  )
  return service
}
/** Each test has an event of its own: the stream keeps what others have published. */
let lastEvent = 0
const newEvent = () => `e${++lastEvent}`
const chloe = (eventId: string, marketId: string, price: number | string) =>
  JSON.stringify([
    { event_id: eventId, market_id: marketId, product_id: '1', price: String(price), status: '1' },
  ])
const publish = (eventId: string, marketId: string, price: number | string) =>
  publishRaw(nats.port, `quote.chloe.${eventId}.${marketId}`, chloe(eventId, marketId, price))
const follow = (eventId: string, marketId: string) => ({
  commend: `order-slip-quote@chloe-market#${eventId}@${marketId}`,
})
const pricesOf = (frames: readonly string[]) =>
  frames
    .map((frame) => JSON.parse(frame))
    .filter(({ type }) => type === 'order-slip')
    .map(({ data }) => data[0].price)

describe('the documented exchange', () => {
  test('both markets, both messages byte for byte, unsubscribe', async () => {
    const service = await boot()
    const client = await connectQuote(service)
    client.send('{"commend":"order-slip-quote@chloe-market#41115853-e@1_31260330"}')
    client.send('{"commend":"order-slip-quote@fancy-market#44914246-e@878_55854706_f"}')
    await settled(service, client)
    const book =
      '[{"event_id":"41115853-e","market_id":"1_31260330","product_id":"1","price":"1.61","status":"1"},{"event_id":"41115853-e","market_id":"1_31260330","product_id":"2","price":"2.37","status":"1"},{"event_id":"41115853-e","market_id":"1_31260330","product_id":"3","price":"10.26","status":"1"}]'
    const fancy =
      '[{"mid":"878_55854706_f","pid": "1","bl": "181","bo": "0","ll": "181","lo": "0","status": "-3","ut": "2023-11-07T08:29:39.306Z"}]'
    await publishRaw(nats.port, 'quote.chloe.41115853-e.1_31260330', book)
    expect(await client.next()).toBe(`{"type":"order-slip","data":${book}}`)
    await publishRaw(nats.port, 'quote.fancy.44914246-e.878_55854706_f', fancy)
    expect(await client.next()).toBe(`{"type":"order-slip-fancy","data":${fancy}}`)

    client.send('{"commend":"unsubscribe-order-slip-quote#41115853-e@1_31260330"}')
    await settled(service, client)
    await publishRaw(nats.port, 'quote.chloe.41115853-e.1_31260330', book)
    await publishRaw(nats.port, 'quote.fancy.44914246-e.878_55854706_f', fancy)
    expect(await client.next()).toContain('order-slip-fancy')

    // Who comes later gets what is stored, at once.
    const late = await connectQuote(service)
    late.send('{"commend":"order-slip-quote@chloe-market#41115853-e@1_31260330"}')
    expect(await late.next()).toBe(`{"type":"order-slip","data":${book}}`)
    client.close()
    late.close()
  })

  test('the documented URL with a prefix, and the token in the header', async () => {
    const service = await boot({ QUOTE_PATH_PREFIX: '/dev-f' })
    for (const options of [{ prefix: '/dev-f' }, {}, { inHeader: true }])
      (await connectQuote(service, options)).close()
    await expect(connectQuote(service, { prefix: '/dev-x' })).rejects.toMatchObject({ status: 404 })
  })

  test.each([
    ['expired', { expires_at: '2023-02-10T00:00:00.000000634Z' }],
    ['issued later', { issued_at: '2129-02-10T00:00:00+08:00' }],
    ['no times', { expires_at: undefined }],
    ['a number for a time', { expires_at: 1_900_000_000 }],
    ['no user', { user_id: undefined }],
  ])('a token that is %s: 401', async (_name, claims) => {
    const service = await boot()
    await expect(connectQuote(service, { claims })).rejects.toMatchObject({ status: 401 })
  })

  test('a token that expires while open closes with 4401; alive comes meanwhile', async () => {
    const clock = new ManualClock()
    const service = await boot({ QUOTE_ALIVE_INTERVAL_MS: '15000' }, { clock })
    const expires_at = new Date(clock.now() + 20_000).toISOString().replace('Z', '123456Z')
    const client = await connectQuote(service, { claims: { expires_at } })
    clock.move(15_100)
    expect(await client.next()).toBe('{"type":"alive"}')
    expect(client.closed).toBeUndefined()
    clock.move(5_000)
    expect(await client.end()).toEqual({ code: 4401, reason: 'token expired' })
  })
})

describe('what is not understood', () => {
  test.each([
    '{"commend":“stop”}',
    '{"commend":"order-slip-quote@chloe-market"}',
    '{"commend":"order-slip-quote@chloe-market#a"}',
    '{"commend":"order-slip-quote@chloe-market#@"}',
    '{"commend":"order-slip-quote@chloe-market#a@b@c#d"}',
    '{"commend":5}',
    '[]',
  ])('%s is an error, and the connection stays', async (frame) => {
    const service = await boot()
    const client = await connectQuote(service)
    client.send(frame)
    expect(await client.nextJson()).toEqual({ type: 'error', error: expect.any(String) })
    await settled(service, client)
    expect(client.closed).toBeUndefined()
    client.close()
  })

  test('10,000 subscriptions at once: an error for each beyond the limit, and the connection stays', async () => {
    const service = await boot()
    const client = await connectQuote(service)
    const event = newEvent()
    for (let i = 0; i < 9_990; i++) client.send(follow(event, `m${i}`))
    await eventually(() => client.frames.length === 8_990)
    expect(new Set(client.frames)).toEqual(
      new Set(['{"type":"error","error":"a connection may follow 1000 markets"}']),
    )
    client.frames.length = 0
    await settled(service, client)
    await publish(event, 'm999', 7)
    await eventually(() => client.frames.length === 1)
    expect(client.closed).toBeUndefined()
    client.close()
  })

  test('ids whose escaped subject NATS would not take: an error, and everybody goes on', async () => {
    const service = await boot()
    const [hostile, other] = [await connectQuote(service), await connectQuote(service)]
    const event = newEvent()
    other.send(follow(event, 'm'))
    await settled(service, other)
    for (const character of ['測', '\u{1F600}', '\uD800']) {
      const id = character.repeat(256 / character.length)
      hostile.send(follow(id, id))
      expect(await hostile.nextJson()).toEqual({ type: 'error', error: expect.any(String) })
    }
    await settled(service, hostile)
    expect([service.bus.connected, service.bus.reconnects]).toEqual([true, 0])
    await publish(event, 'm', 2)
    expect(pricesOf([await other.next()])).toEqual(['2'])
    hostile.close()
    other.close()
  })

  test('markets are bounded for a user over all connections, and for the instance', async () => {
    const service = await boot({ QUOTE_MAX_SUBSCRIPTIONS_PER_USER: '3', QUOTE_MAX_FOLLOWED_SUBJECTS: '4' })
    const connectAs = (user_id: string) => connectQuote(service, { claims: { user_id } })
    const [one, two, other] = [await connectAs('a'), await connectAs('a'), await connectAs('b')]
    const event = newEvent()
    for (const id of ['1', '2']) one.send(follow(event, id))
    await settled(service, one)
    for (const id of ['3', '4']) two.send(follow(event, id))
    expect(await two.nextJson()).toEqual({
      type: 'error',
      error: 'a user may have 3 subscriptions over all connections',
    })
    // What is followed already costs the instance no other subject.
    for (const id of ['5', '6', '1']) other.send(follow(event, id))
    expect(await other.nextJson()).toEqual({ type: 'error', error: 'the instance follows as much as it can' })
    await settled(service, other)
    const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text()
    expect(metrics).toMatch(/carillon_subscriptions_refused_total\{limit="user",[^}]*\} 1/)
    expect(metrics).toMatch(/carillon_subscriptions_refused_total\{limit="instance",[^}]*\} 1/)
    expect(metrics).toMatch(/carillon_subscriptions\{[^}]*\} 5/)
    // What is let go of makes room.
    one.send(`{"commend":"unsubscribe-order-slip-quote#${event}@1"}`)
    await settled(service, one)
    two.send(follow(event, '1'))
    await settled(service, two)
    expect(two.frames).toHaveLength(1)
    for (const client of [one, two, other]) client.close()
    await eventually(async () =>
      /carillon_subscriptions\{[^}]*\} 0/.test(
        await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text(),
      ),
    )
  })

  test('bad payloads on NATS go to nobody', async () => {
    const service = await boot()
    const client = await connectQuote(service)
    const event = newEvent()
    client.send(follow(event, 'm'))
    await settled(service, client)
    for (const bad of ['{}', '[{}]', '[1]', chloe('other', 'm', 1), chloe(event, 'other', 1)]) {
      await publishRaw(nats.port, `quote.chloe.${event}.m`, bad)
    }
    await publish(event, 'm', 2)
    expect(pricesOf([await client.next()])).toEqual(['2'])
    client.close()
  })
})

describe('the newest', () => {
  test('snapshot and live meet without a gap, a double or a step back, while quotes pour in', async () => {
    const service = await boot()
    const event = newEvent()
    let price = 0
    let pouring = true
    const pour = (async () => {
      while (pouring) await publish(event, 'm', ++price)
    })()
    await eventually(() => price > 20)
    const clients = []
    for (let i = 0; i < 10; i++) {
      const client = await connectQuote(service)
      client.send(follow(event, 'm'))
      clients.push(client)
      const before = price
      await eventually(() => price > before + 5)
    }
    pouring = false
    await pour
    for (const client of clients) {
      await eventually(() => pricesOf(client.frames).at(-1) === String(price))
      const prices = pricesOf(client.frames).map(Number)
      expect(prices).toEqual(Array.from({ length: prices.length }, (_, i) => (prices[0] as number) + i))
      client.close()
    }
  })

  test('stop, then start: the newest of each changed market once, then live', async () => {
    const service = await boot()
    const client = await connectQuote(service)
    const other = await connectQuote(service)
    const event = newEvent()
    for (const each of [client, other]) {
      for (const id of ['a', 'b', 'c']) each.send(follow(event, id))
      await settled(service, each)
    }
    client.send('{"commend":"stop"}')
    await settled(service, client)
    for (let price = 1; price <= 50; price++) {
      await publish(event, 'a', price)
      await publish(event, 'b', price * 100)
    }
    await eventually(() => other.frames.length === 100)
    expect(client.frames).toEqual([])
    // Let go of while stopped: not sent any more.
    client.send(`{"commend":"unsubscribe-order-slip-quote#${event}@b"}`)
    client.send('{"commend":"start"}')
    client.send('{"commend":"start"}')
    await settled(service, client)
    expect(pricesOf(client.frames)).toEqual(['50'])
    await publish(event, 'c', 3)
    await eventually(() => client.frames.length === 2)
    expect(pricesOf(client.frames)).toEqual(['50', '3'])
    const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text()
    expect(metrics).toMatch(/carillon_quote_staleness_seconds_count\{[^}]*\} 1/)
    expect(metrics).toMatch(/carillon_conflated_total\{[^}]*\} 98/)
    client.close()
    other.close()
  })

  test('a client that does not read holds one quote of each market, and ends with the newest', async () => {
    const service = await boot()
    const [slow, healthy] = [await connectQuote(service), await connectQuote(service)]
    const event = newEvent()
    const markets = Array.from({ length: 5 }, (_, i) => `m${i}`)
    for (const client of [slow, healthy]) {
      for (const market of markets) client.send(follow(event, market))
      await settled(service, client)
    }
    slow.socket.pause()
    const padding = 'x'.repeat(60_000)
    let round = 0
    const queued = () =>
      Math.max(...[...service.listener.connections].map(({ outbox }) => outbox.queuedBytes))
    // Until the system's own buffers are full, and well beyond.
    await eventually(async () => {
      round += 1
      for (const market of markets) await publish(event, market, `${round} ${padding}`)
      return service.listener.counters.conflated > 200
    })
    expect(queued()).toBeLessThan(markets.length * 2 * 61_000 + 100_000)
    await eventually(() => healthy.frames.length === round * markets.length)
    slow.socket.resume()
    const last = () =>
      new Map(
        slow.frames
          .map((frame) => JSON.parse(frame).data[0])
          .map((item) => [item.market_id, item.price.split(' ')[0]]),
      )
    await eventually(
      () => [...last().values()].every((price) => price === String(round)) && last().size === 5,
    )
    expect(slow.frames.length).toBeLessThan(healthy.frames.length)
    expect([slow.closed, healthy.closed]).toEqual([undefined, undefined])
    slow.close()
    healthy.close()
  })

  test('a least interval, set while running, sends the newest of what came between', async () => {
    const service = await boot()
    const client = await connectQuote(service)
    const event = newEvent()
    client.send(follow(event, 'm'))
    await settled(service, client)
    const bucket = service.bus.bucket(settingsBucket)
    await bucket.put('quote-interact.min_interval_ms', 300)
    await eventually(async () => {
      const before = client.frames.length
      for (let price = 1; price <= 20; price++) await publish(event, 'm', price)
      await service.bus.roundTrip()
      return client.frames.length - before < 20
    })
    await eventually(() => pricesOf(client.frames).at(-1) === '20')
    await bucket.delete('quote-interact.min_interval_ms')
    client.close()
  })
})

test('a lease ends an hour after its last request', async () => {
  const clock = new ManualClock()
  const service = await boot({}, { clock })
  const client = await connectQuote(service)
  const event = newEvent()
  for (const id of ['once', 'again']) client.send(follow(event, id))
  await settled(service, client)
  clock.move(3_000_000)
  client.send(follow(event, 'again'))
  await settled(service, client)
  clock.move(700_000)
  await eventually(async () => (await topicsOf(service)).length === 1)
  client.frames.length = 0
  await publish(event, 'once', 1)
  await publish(event, 'again', 2)
  await eventually(() => pricesOf(client.frames).length === 1)
  expect(pricesOf(client.frames)).toEqual(['2'])
  clock.move(3_600_000)
  await eventually(async () => (await topicsOf(service)).length === 0)
  client.close()
})

test.each([-3_600_000, 3_600_000])(
  'a wall clock set by %d ms ends no lease and stops no alive',
  async (byMs) => {
    const clock = new ManualClock()
    const service = await boot({ QUOTE_ALIVE_INTERVAL_MS: '15000' }, { clock })
    const client = await connectQuote(service)
    const event = newEvent()
    client.send(follow(event, 'm'))
    await settled(service, client)
    clock.move(10_000)
    clock.setWallClock(byMs)
    clock.move(5_200)
    expect(await client.next()).toBe('{"type":"alive"}')
    expect(await topicsOf(service)).toHaveLength(1)
    clock.move(3_580_000)
    expect(await topicsOf(service)).toHaveLength(1)
    clock.move(5_200)
    await eventually(async () => (await topicsOf(service)).length === 0)
    client.close()
  },
)

async function topicsOf(service: QuoteInteract): Promise<readonly string[]> {
  return [...service.listener.connections].flatMap((connection) => connection.report().subscriptions)
}

test('ids that would be more than NATS takes of one line get an error, and harm nobody', async () => {
  const service = await boot()
  const [hostile, other] = [await connectQuote(service), await connectQuote(service)]
  const event = newEvent()
  other.send(follow(event, 'm'))
  const wide = '測'.repeat(256)
  for (const kind of ['chloe', 'fancy']) {
    hostile.send({ commend: `order-slip-quote@${kind}-market#${wide}@${wide}` })
    expect(await hostile.nextJson()).toMatchObject({
      type: 'error',
      error: expect.stringContaining('too long'),
    })
  }
  // The longest that are taken are taken by NATS too, JetStream's prefix included.
  const most = 'x'.repeat(256)
  hostile.send(follow(most, '測'.repeat(190)))
  await publish(most, encodeURIComponent('測'.repeat(190)), 1)
  await settled(service, hostile)
  await publish(event, 'm', 7)
  await eventually(() => pricesOf(other.frames).length === 1)
  expect(service.bus.reconnects).toBe(0)
  hostile.close()
  other.close()
})

test('two instances, and a NATS restart under load: no last word is lost', async () => {
  const [one, two] = [await boot(), await boot()]
  const clients = [await connectQuote(one), await connectQuote(two)]
  const event = newEvent()
  for (const [i, client] of clients.entries()) {
    client.send(follow(event, 'm'))
    await settled([one, two][i] as QuoteInteract, client)
  }
  // The last word on a market that nobody publishes any more.
  await publish(event, 'suspended', '0')
  await eventually(() => one.bus.stream(quoteStream).last(`quote.chloe.${event}.suspended`))
  let price = 0
  let pouring = true
  const pour = (async () => {
    while (pouring)
      await publish(event, 'm', ++price).catch(() => new Promise((done) => setTimeout(done, 20)))
  })()
  await eventually(() => clients.every((client) => client.frames.length > 20))
  await nats.halt('SIGKILL')
  await eventually(() => !one.bus.connected && !two.bus.connected)
  await nats.resume()
  await eventually(() => one.bus.connected && two.bus.connected)
  const before = price
  await eventually(() => clients.every((client) => Number(pricesOf(client.frames).at(-1)) > before))
  pouring = false
  await pour
  for (const client of clients) {
    await eventually(() => pricesOf(client.frames).at(-1) === String(price))
    const prices = pricesOf(client.frames).map(Number)
    expect(prices).toEqual([...prices].sort((a, b) => a - b))
    expect(new Set(prices).size).toBe(prices.length)
    expect(client.closed).toBeUndefined()
  }
  // Who comes now gets the last quotes, of the market that nobody has published since the restart too.
  const late = await connectQuote(two)
  late.send(follow(event, 'm'))
  expect(pricesOf([await late.next()])).toEqual([String(price)])
  late.send(follow(event, 'suspended'))
  expect(pricesOf([await late.next()])).toEqual(['0'])
  for (const client of [...clients, late]) client.close()
})
