import { get, type IncomingMessage } from 'node:http'
import { control, settingsBucket } from '@carillon/events'
import {
  eventually,
  loginToken,
  ManualClock,
  NatsServer,
  publishRaw,
  requestRaw,
  WebSocketClient,
} from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type AuctionPush, bootAuction, connectAuction, readMetrics } from './auction.ts'

let nats: NatsServer
let services: AuctionPush[]
beforeEach(async () => {
  nats = await NatsServer.start()
  services = []
})
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop()))
  await nats.stop()
})
async function boot(...args: Parameters<typeof bootAuction> extends [unknown, ...infer R] ? R : never) {
  const service = await bootAuction(nats, ...args)
  services.push(service)
  return service
}
const readyz = async (service: AuctionPush) =>
  (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).status
const subscribe = async (client: WebSocketClient, auctionId: number) => {
  client.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId, single: false } })
  expect(await client.next()).toBe('success')
}
const bid = (auctionId: number, amount = 1) =>
  JSON.stringify({ amount, nickName: '', avatar: '', userId: 1, auctionId })

describe('time', () => {
  test('30 s of silence close; a ping and a pong are no silence; pushes are', async () => {
    const clock = new ManualClock()
    const service = await boot({}, { clock })
    const [silent, pinging] = [await connectAuction(service), await connectAuction(service)]
    await subscribe(silent, 1)
    clock.move(29_000)
    pinging.socket.ping()
    await new Promise((resolve) => pinging.socket.once('pong', resolve))
    await service.bus.roundTrip()
    await publishRaw(nats.port, 'auction.1.bid', bid(1))
    await silent.next()
    expect(silent.closed).toBeUndefined()
    clock.move(1_200)
    expect(await silent.end()).toEqual({ code: 4408, reason: 'idle timeout' })
    expect(pinging.closed).toBeUndefined()
    clock.move(29_000)
    expect(await pinging.end()).toMatchObject({ code: 4408 })
  })

  test('the idle limit changes while running, on every instance, for connections that are open', async () => {
    const clock = new ManualClock()
    const [one, two] = [await boot({}, { clock }), await boot({}, { clock })]
    const clients = [await connectAuction(one), await connectAuction(two)]
    const bucket = one.bus.bucket(settingsBucket)
    await eventually(() => one.bus.connected)
    await bucket.put('auction-push.idle_timeout_ms', 5_000)
    await bucket.put('auction-push.max_connections', 'many')
    await eventually(() => {
      clock.move(1_000)
      return clients.every((client) => client.closed?.code === 4408)
    })
    // And longer again.
    await bucket.put('auction-push.idle_timeout_ms', 600_000)
    const patient = await connectAuction(two)
    await eventually(async () => {
      const again = await connectAuction(two)
      clock.move(6_000)
      await subscribe(patient, 1)
      again.close()
      return patient.closed === undefined
    })
    patient.close()
  })

  test('a token that expires while the connection is open closes it', async () => {
    const clock = new ManualClock()
    const service = await boot({}, { clock })
    const token = await loginToken(1, { exp: Math.floor(clock.now() / 1_000) + 10 })
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${service.listener.port}/ws/${token}`)
    for (let i = 0; i < 9; i++) {
      await subscribe(client, i)
      clock.move(1_000)
    }
    expect(client.closed).toBeUndefined()
    clock.move(1_200)
    expect(await client.end()).toEqual({ code: 4401, reason: 'token expired' })
  })
})

describe('a wall clock that is set', () => {
  test.each([-3_600_000, 3_600_000])('by %d ms changes no silence, and no pushes', async (byMs) => {
    const clock = new ManualClock()
    const service = await boot({}, { clock })
    const token = await loginToken(1, { exp: Math.floor(clock.now() / 1_000) + 86_400 })
    const connect = () => WebSocketClient.connect(`ws://127.0.0.1:${service.listener.port}/ws/${token}`)
    const [silent, lively] = [await connect(), await connect()]
    await subscribe(lively, 1)
    clock.move(20_000)
    clock.setWallClock(byMs)
    lively.send({ key: 'auction_cancel_subscribe', data: { event: 'bid', auctionId: 2 } })
    expect(await lively.next()).toBe('success')
    clock.move(9_000)
    await new Promise((resolve) => lively.socket.ping(resolve))
    await new Promise((resolve) => lively.socket.once('pong', resolve))
    expect(silent.closed).toBeUndefined()
    clock.move(1_200)
    expect(await silent.end()).toEqual({ code: 4408, reason: 'idle timeout' })
    expect(lively.closed).toBeUndefined()
    lively.close()
  })

  test('past the end of a token closes its connection within a minute', async () => {
    const clock = new ManualClock()
    const service = await boot({ AUCTION_IDLE_TIMEOUT_MS: '86400000' }, { clock })
    const token = await loginToken(1, { exp: Math.floor(clock.now() / 1_000) + 600 })
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${service.listener.port}/ws/${token}`)
    clock.setWallClock(3_600_000)
    clock.move(60_100)
    expect(await client.end()).toEqual({ code: 4401, reason: 'token expired' })
  })
})

describe('operators', () => {
  test('look at connections and close them, on every instance', async () => {
    const [one, two] = [await boot(), await boot()]
    const [a, b, other] = [
      await connectAuction(one, 7),
      await connectAuction(two, 7),
      await connectAuction(two, 8),
    ]
    await subscribe(a, 5)
    const ask = { service: 'auction-push' }
    const counts = await one.bus.requestMany(control.connections, ask, {})
    expect(counts.map(({ count }) => count).sort()).toEqual([1, 2])
    const theirs = (await one.bus.requestMany(control.connections, ask, { user_id: '7' })).flatMap(
      ({ connections }) => connections ?? [],
    )
    expect(theirs).toHaveLength(2)
    expect(theirs.find(({ subscriptions }) => subscriptions.length > 0)).toMatchObject({
      user_id: '7',
      remote_address: '127.0.0.1',
      subscriptions: ['auction.5.bid'],
      queued_bytes: 0,
    })
    const closed = await one.bus.requestMany(control.disconnect, ask, {
      user_id: '7',
      code: 4999,
      reason: 'bye',
    })
    expect(closed.map((each) => each.closed)).toEqual([1, 1])
    expect(await a.end()).toEqual({ code: 4999, reason: 'bye' })
    expect(await b.end()).toEqual({ code: 4999, reason: 'bye' })
    expect(other.closed).toBeUndefined()
    other.close()
  })

  test('a reason that no close frame can hold is refused in bytes, and the connection lives on', async () => {
    const service = await boot()
    const client = await connectAuction(service, 7)
    const ask = (reason: string) =>
      service.bus.request(control.disconnect, { service: 'auction-push' }, { user_id: '7', reason })
    await expect(ask('😀'.repeat(41))).rejects.toThrow('123')
    await subscribe(client, 1)
    expect(service.listener.connections.size).toBe(1)
    const longest = `${'😀'.repeat(30)}abc`
    expect(await ask(longest)).toMatchObject({ closed: 1 })
    expect(await client.end()).toEqual({ code: 4403, reason: longest })
  })

  test('limit connections of the instance (live), of an address and of a user', async () => {
    const service = await boot({
      AUCTION_MAX_CONNECTIONS_PER_USER: '2',
      AUCTION_MAX_CONNECTIONS_PER_ADDRESS: '3',
    })
    const open = [await connectAuction(service, 1), await connectAuction(service, 1)]
    await expect(connectAuction(service, 1)).rejects.toMatchObject({ status: 429 })
    open.push(await connectAuction(service, 2))
    await expect(connectAuction(service, 3)).rejects.toMatchObject({ status: 429 })
    open.pop()?.close()
    await eventually(() => service.listener.connections.size === 2)
    await service.bus.bucket(settingsBucket).put('auction-push.max_connections', 2)
    await eventually(() =>
      connectAuction(service, 3).then(
        (client) => {
          client.close()
          return false
        },
        ({ status }) => status === 503,
      ),
    )
    for (const client of open) client.close()
  })
})

test('keys that cannot be fetched are 503, so that clients come back', async () => {
  const service = await boot({ AUTH_JWKS_URL: 'http://127.0.0.1:1/jwks' })
  const token = (await loginToken(1)).replace(/^[^.]+/, Buffer.from('{"alg":"ES256"}').toString('base64url'))
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
  }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = get({ port: service.listener.port, path: `/ws/${token}`, headers: upgrade }, resolve)
    request.once('error', reject)
  })
  response.resume()
  expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1'])
  expect(await readMetrics(service)).toMatch(
    /carillon_auth_failures_total\{reason="keys_unavailable",[^}]*\} 1/,
  )
})

test('paths that do not exist repeat nothing of a token', async () => {
  const service = await boot()
  const token = await loginToken(1)
  for (const path of [`/wss/${token}`, `/ws/${token}/x`, `/%ZZ/${token}`]) {
    const response = await fetch(`http://127.0.0.1:${service.listener.port}${path}`)
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(await response.text()).not.toContain('eyJ')
  }
})

describe('two instances', () => {
  test('a bid reaches the subscribers of both, once each', async () => {
    const [one, two] = [await boot(), await boot()]
    const clients = [await connectAuction(one), await connectAuction(two)]
    for (const client of clients) await subscribe(client, 1)
    await Promise.all([one.bus.roundTrip(), two.bus.roundTrip()])
    for (let amount = 1; amount <= 3; amount++) await publishRaw(nats.port, 'auction.1.bid', bid(1, amount))
    for (const client of clients) {
      for (let amount = 1; amount <= 3; amount++) expect(await client.next()).toContain(`"amount":${amount},`)
    }
    await Promise.all([one.bus.roundTrip(), two.bus.roundTrip()])
    expect(clients.map((client) => client.frames.length)).toEqual([4, 4])
    for (const client of clients) client.close()
  })
})

test('a stream that cannot be made: not ready, with the reason, and a metric says so; ready once it can', async () => {
  const api = (call: string, request: object = {}) =>
    requestRaw(nats.port, `$JS.API.STREAM.${call}`, JSON.stringify(request))
  await api('CREATE.OTHER', { name: 'OTHER', subjects: ['auction.*.bid'], storage: 'memory' })
  const service = await boot()
  const available = async () =>
    /carillon_nats_storage_available\{.*storage="AUCTION".*\} (\d)/.exec(await readMetrics(service))?.[1]
  const reason = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).text()
  await eventually(async () => /AUCTION is not available: .*overlap/.test(await reason()), 20_000)
  expect([await readyz(service), await available()]).toEqual([503, '0'])
  await api('DELETE.OTHER')
  await eventually(async () => (await readyz(service)) === 200, 20_000)
  expect(await available()).toBe('1')
})

test('what is published on receipt of success arrives, for 300 first followers', async () => {
  const service = await boot()
  await eventually(() => service.bus.connected)
  const clients = await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      const client = await connectAuction(service, i)
      client.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId: i } })
      expect(await client.next()).toBe('success')
      await publishRaw(nats.port, `auction.${i}.bid`, bid(i))
      return client
    }),
  )
  await eventually(() => clients.every((client) => client.frames.length === 2))
  for (const client of clients) client.close()
})

describe('NATS away', () => {
  test('absent at the start: alive, not ready, then ready', async () => {
    await nats.halt()
    const service = await boot()
    const healthz = await fetch(`http://127.0.0.1:${service.adminPort}/healthz`)
    expect([healthz.status, await readyz(service)]).toEqual([200, 503])
    const client = await connectAuction(service)
    client.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId: 1 } })
    client.send('?')
    client.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId: 1 } })
    await nats.resume()
    await eventually(async () => (await readyz(service)) === 200)
    // Answered once it is true, and in the order of the requests.
    expect([await client.next(), await client.next(), await client.next()]).toEqual([
      'success',
      expect.stringContaining('malformed_json'),
      'success',
    ])
    await publishRaw(nats.port, 'auction.1.bid', bid(1))
    expect(await client.next()).toContain('"auctionId":1')
    client.close()
  })

  test('stopped and started under 1,000 connections: none drops, events flow again', async () => {
    const service = await boot()
    const clients = await Promise.all(Array.from({ length: 1_000 }, (_, i) => connectAuction(service, i)))
    for (const client of clients)
      client.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId: 1 } })
    await eventually(() => clients.every((client) => client.frames.length === 1))
    await nats.halt('SIGKILL')
    await eventually(async () => (await readyz(service)) === 503)
    expect((await fetch(`http://127.0.0.1:${service.adminPort}/healthz`)).status).toBe(200)
    await nats.resume()
    await eventually(async () => (await readyz(service)) === 200)
    await service.bus.roundTrip()
    await publishRaw(nats.port, 'auction.1.bid', bid(1, 42))
    await eventually(() => clients.every((client) => client.frames.length === 2))
    expect(clients.filter((client) => client.closed)).toHaveLength(0)
    expect(await readMetrics(service)).toMatch(/carillon_nats_reconnects_total\{[^}]*\} 1/)
    for (const client of clients) client.close()
  })
})

test('a client that never reads is closed as a slow consumer; others get everything', async () => {
  const service = await boot({ AUCTION_MAX_OUTBOX_BYTES: '200000' })
  const [stuck, healthy] = [await connectAuction(service, 1), await connectAuction(service, 2)]
  for (const client of [stuck, healthy]) await subscribe(client, 1)
  await service.bus.roundTrip()
  stuck.socket.pause()
  const avatar = 'x'.repeat(50_000)
  const large = JSON.stringify({ amount: 1, nickName: '', avatar, userId: 1, auctionId: 1 })
  let sent = 0
  await eventually(async () => {
    for (let i = 0; i < 20; i++) await publishRaw(nats.port, 'auction.1.bid', large)
    sent += 20
    let queued = 0
    for (const connection of service.listener.connections) queued += connection.outbox.queuedBytes
    expect(queued).toBeLessThanOrEqual(2 * (200_000 + large.length))
    return service.listener.counters.slowConsumers === 1
  })
  await eventually(() => healthy.frames.length === sent + 1)
  expect(healthy.closed).toBeUndefined()
  // It never answers the close frame either, and is cut off.
  await eventually(() => service.listener.connections.size === 1)
  expect(await readMetrics(service)).toMatch(/carillon_slow_consumers_total\{[^}]*\} 1/)
  healthy.close()
  stuck.close()
})

test('a drain closes everybody with 1012, tells readyz, and stops the second time with the first', async () => {
  const service = await boot({ DRAIN_SECONDS: '1' })
  const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => connectAuction(service, i)))
  const stopping = service.stop()
  expect(service.stop()).toBe(stopping)
  await eventually(() => clients.some((client) => client.closed))
  expect(clients.every((client) => client.closed)).toBe(false)
  expect(await readyz(service)).toBe(503)
  await expect(connectAuction(service)).rejects.toMatchObject({ status: 503 })
  await stopping
  await eventually(() => clients.every((client) => client.closed?.code === 1012))
})

test('publish-to-write latency is measured where the publisher says when', async () => {
  const service = await boot()
  const client = await connectAuction(service)
  await subscribe(client, 1)
  const { auction } = await import('@carillon/events')
  const headers = { 'Carillon-Published-At': String(Date.now() - 50) }
  service.bus.publish(auction.bid, { auctionId: '1' }, JSON.parse(bid(1)), { headers })
  await client.next()
  const metrics = await readMetrics(service)
  expect(metrics).toMatch(/carillon_publish_to_write_seconds_count\{[^}]*\} 1/)
  expect(metrics).toMatch(/carillon_publish_to_write_seconds_bucket\{le="0.025",[^}]*\} 0/)
  client.close()
})
