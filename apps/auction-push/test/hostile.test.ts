import { DEVELOPMENT_SECRET } from '@carillon/auth'
import {
  eventually,
  loginToken,
  NatsServer,
  publishRaw,
  UpgradeRefused,
  WebSocketClient,
} from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type AuctionPush, bootAuction, connectAuction, readMetrics } from './auction.ts'

let nats: NatsServer
let service: AuctionPush
const log: string[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
  const logDestination = { write: (line: string) => void log.push(line) }
  service = await bootAuction(
    nats,
    { LOG_LEVEL: 'trace', AUCTION_MAX_SUBSCRIPTIONS: '50' },
    { logDestination },
  )
})
afterAll(async () => {
  await service?.stop()
  await nats?.stop()
})

const url = (path: string) => `ws://127.0.0.1:${service.listener.port}${path}`
const refusedWith = async (path: string) => {
  try {
    const client = await WebSocketClient.connect(url(path))
    client.close()
    return 'accepted'
  } catch (error) {
    if (error instanceof UpgradeRefused) return error.status
    throw error
  }
}
const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('credentials', () => {
  const soon = Math.floor(Date.now() / 1_000) + 60
  test.each([
    ['none', async () => ''],
    ['garbage', async () => 'x'],
    ['forged', () => loginToken(1, {}, 'another-secret-altogether')],
    ['alg none', async () => `${base64({ alg: 'none' })}.${base64({ sub: '1', exp: soon })}.`],
    ['expired', () => loginToken(1, { exp: Math.floor(Date.now() / 1_000) - 1 })],
    ['no exp', () => loginToken(1, { exp: undefined })],
    ['created in the future', () => loginToken(1, { created: Date.now() + 3_600_000 })],
    ['no sub', () => loginToken(1, { sub: undefined })],
    ['longer than any token', async () => 'x'.repeat(9_000)],
  ])('%s: 401 at the upgrade', async (_name, token) => {
    expect([401, 414, 404]).toContain(await refusedWith(`/ws/${await token()}`))
  })

  test('no path segment at all', async () => {
    expect(await refusedWith('/ws')).toBe(401)
  })

  test('another path, and plain HTTP', async () => {
    expect(await refusedWith('/other')).toBe(404)
    const plain = await fetch(`http://127.0.0.1:${service.listener.port}/ws/x`)
    expect(plain.status).toBe(426)
  })

  test('refusals are counted by reason, and no token is in the log or the metrics', async () => {
    const token = await loginToken('secretive', {}, 'another-secret-altogether')
    await refusedWith(`/ws/${token}`)
    const metrics = await readMetrics(service)
    expect(metrics).toMatch(
      /carillon_auth_failures_total\{reason="bad_signature",service="auction-push"\} [1-9]/,
    )
    expect(metrics + log.join('')).not.toContain('eyJ')
    expect(metrics + log.join('')).not.toContain(DEVELOPMENT_SECRET)
  })
})

describe('frames', () => {
  const errorCode = async (client: WebSocketClient) =>
    ((await client.nextJson()) as { event: string; data: { code: string } }).data.code
  const stillWorks = async (client: WebSocketClient) => {
    client.send({ key: 'auction_cancel_subscribe', data: { event: 'bid', auctionId: 1 } })
    expect(await client.next()).toBe('success')
  }

  test.each([
    ['malformed_json', 'not json'],
    ['not_an_object', '[1]'],
    ['unknown_key', '{"key":"x"}'],
    ['unknown_event', '{"key":"auction_subscribe","data":{"event":"x","auctionId":"1"}}'],
    ['invalid_auction_id', '{"key":"auction_subscribe","data":{"event":"bid","auctionId":"a.b"}}'],
    ['invalid_auction_id', '{"key":"auction_subscribe","data":{"event":"bid","auctionId":">"}}'],
    ['binary_frame', Buffer.from([1, 2, 3])],
    ['frame_too_large', 'x'.repeat(20_000)],
  ])('%s: an error, and the connection stays', async (code, frame) => {
    const client = await connectAuction(service)
    client.send(frame)
    expect(await errorCode(client)).toBe(code)
    await stillWorks(client)
    client.close()
  })

  test('1 MB: an error first, then 1009', async () => {
    const client = await connectAuction(service)
    client.send('x'.repeat(1_000_000))
    expect(await errorCode(client)).toBe('frame_too_large')
    expect(await client.end()).toMatchObject({ code: 1009 })
  })

  test('text that is not UTF-8: an error first, then 1007', async () => {
    const client = await connectAuction(service)
    client.socket.send(Buffer.from([0xff, 0xfe]), { binary: false })
    expect(await errorCode(client)).toBe('malformed_frame')
    expect(await client.end()).toMatchObject({ code: 1007 })
  })

  test('10,000 frames at once: the first are answered, then errors, then 4429', async () => {
    const client = await connectAuction(service)
    const frame = '{"key":"auction_subscribe","data":{"event":"bid","auctionId":"1","single":true}}'
    for (let i = 0; i < 10_000; i++) client.send(frame)
    expect(await client.end()).toEqual({ code: 4429, reason: 'too many errors' })
    const errors = client.frames.filter((each) => each !== 'success')
    expect(client.frames.length - errors.length).toBeGreaterThanOrEqual(200)
    expect(errors.length).toBe(21)
    expect(JSON.parse(errors[0] as string).data.code).toBe('rate_limited')
  })

  test('a flood of pings is one too', async () => {
    const client = await connectAuction(service)
    for (let i = 0; i < 1_000; i++) client.socket.ping()
    expect(await client.end()).toMatchObject({ code: 4429 })
  })

  test('more than 20 errors within 10 s: 4429', async () => {
    const client = await connectAuction(service)
    for (let i = 0; i < 20; i++) client.send('x')
    for (let i = 0; i < 20; i++) expect(await errorCode(client)).toBe('malformed_json')
    await stillWorks(client)
    client.send('x')
    expect(await client.end()).toMatchObject({ code: 4429 })
  })

  test('more subscriptions than allowed: an error, and the earlier ones stay', async () => {
    const client = await connectAuction(service)
    const subscribe = (id: number) =>
      client.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId: id } })
    for (let id = 1; id <= 51; id++) subscribe(id)
    for (let id = 1; id <= 50; id++) expect(await client.next()).toBe('success')
    expect(await errorCode(client)).toBe('too_many_subscriptions')
    await service.bus.roundTrip()
    await publishRaw(
      nats.port,
      'auction.50.bid',
      '{"amount":1,"nickName":"","avatar":"","userId":1,"auctionId":50}',
    )
    expect(await client.next()).toContain('"auctionId":50')
    client.close()
  })

  test('100,000 subscriptions, as fast as they go: refused, and the process stays small', async () => {
    const client = await connectAuction(service)
    for (let id = 0; id < 100_000; id++) {
      client.send(`{"key":"auction_subscribe","data":{"event":"bid","auctionId":"${id}","single":false}}`)
    }
    expect(await client.end()).toMatchObject({ code: 4429 })
    await eventually(async () => /carillon_connections\{[^}]*\} 0/.test(await readMetrics(service)))
  })
})

test('a bad payload on NATS is dropped, counted and logged; the next one arrives', async () => {
  const client = await connectAuction(service)
  client.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId: '9' } })
  expect(await client.next()).toBe('success')
  await service.bus.roundTrip()
  const good = '{"amount":1,"nickName":"","avatar":"","userId":1,"auctionId":9}'
  const bad = ['x', '{}', good.replace('9', '8'), Buffer.from([0x22, 0xff, 0x22])]
  for (const payload of bad) await publishRaw(nats.port, 'auction.9.bid', payload)
  await publishRaw(nats.port, 'auction.9.bid', good)
  expect(await client.next()).toBe(`{"data":${good},"event":"bid"}`)
  expect(await readMetrics(service)).toMatch(/carillon_rejected_payloads_total\{domain="auction",[^}]*\} 4/)
  expect(
    log.filter((line) => line.includes('a payload was refused') && line.includes('auction.9.bid')),
  ).toHaveLength(4)
  client.close()
})
