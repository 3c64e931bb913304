import { connect } from 'node:net'
import { signRequest } from '@carillon/auth'
import { type Announcement, discovery } from '@carillon/events'
import { eventually, ManualClock, NatsServer, publishRaw, testEnvironment } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { create, readConfig } from '../src/server.ts'

type Discovery = ReturnType<typeof create>

interface Answer {
  readonly error_code: number
  readonly end_point?: string
  readonly end_points: Readonly<Record<string, unknown>>
}

let nats: NatsServer
let services: Discovery[]
beforeEach(async () => {
  nats = await NatsServer.start()
  services = []
})
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop()))
  await nats.stop()
})

async function boot(environment: Record<string, string> = {}, clock = new ManualClock()) {
  const service = create(
    readConfig({
      ...testEnvironment('DISCOVERY', nats),
      ...environment,
    }),
    { clock },
  )
  services.push(service)
  await service.start()
  return service
}
const get = async (service: Discovery, path: string) => {
  const response = await fetch(`http://127.0.0.1:${service.port()}${path}`)
  return { status: response.status, body: (await response.json()) as Answer }
}
const ask = async (service: Discovery, query = '') =>
  (await get(service, `/iapi/websocket/end_point${query}`)).body
const announce = (service: string, change: Partial<Announcement> = {}) => {
  const payload = {
    service,
    instance_id: 'i1',
    end_point: `ws://127.0.0.1/${service}`,
    region: 'default',
    connections: 0,
    capacity: 10,
    draining: false,
    version: '1',
    started_at: 1,
    ...change,
  }
  return publishRaw(
    nats.port,
    discovery.announce.subject({ service, instanceId: payload.instance_id }),
    JSON.stringify(payload),
  )
}

describe('an endpoint', () => {
  test('is that of the service asked for, voice by default, with all common parameters accepted', async () => {
    const clock = new ManualClock()
    const service = await boot({}, clock)
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    clock.move(2_500)
    await announce('auction-push')
    await announce('voice-room-ws')
    const common = [
      'code',
      'dno',
      'sid',
      'man',
      'mod',
      'an',
      'h',
      'fr',
      'pf',
      'pf_ver',
      'verc',
      'ver',
      'ts',
      'net',
    ]
    const query = [...common, 'ckey', 'lat', 'lon', 'lang'].map((name) => `${name}=1`).join('&')
    await eventually(async () => (await ask(service, `?${query}`)).error_code === 0)
    expect(await ask(service, `?${query}`)).toEqual({
      error_code: 0,
      error_reason: '',
      end_point: 'ws://127.0.0.1/voice-room-ws',
      ping_interval: 15,
    })
    expect(await ask(service, '?service=auction')).toMatchObject({ end_point: 'ws://127.0.0.1/auction-push' })
    const all = (await get(service, '/iapi/websocket/end_points')).body
    expect(all.end_points.auction).toMatchObject({ error_code: 0 })
    expect(all.end_points.im).toEqual({ error_code: -1, error_reason: 'no im endpoint is live' })
  })

  test('is gone after seven seconds of silence, and at once when it drains', async () => {
    const clock = new ManualClock()
    const service = await boot({ AUCTION_FALLBACK_URL: 'wss://elsewhere' }, clock)
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    await announce('auction-push')
    await eventually(
      async () => (await ask(service, '?service=auction')).end_point === 'ws://127.0.0.1/auction-push',
    )
    clock.move(7_001)
    expect(await ask(service, '?service=auction')).toMatchObject({
      error_code: 0,
      end_point: 'wss://elsewhere',
    })
    await announce('auction-push')
    await eventually(
      async () => (await ask(service, '?service=auction')).end_point === 'ws://127.0.0.1/auction-push',
    )
    await announce('auction-push', { draining: true })
    await eventually(async () => (await ask(service, '?service=auction')).end_point === 'wss://elsewhere')
  })

  test.each([-3_600_000, 3_600_000])('is still known when the wall clock is set by %d ms', async (byMs) => {
    const clock = new ManualClock()
    const service = await boot({}, clock)
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    clock.move(10_000)
    await announce('auction-push')
    await eventually(async () => (await ask(service, '?service=auction')).error_code === 0)
    clock.setWallClock(byMs)
    clock.move(6_900)
    expect(await ask(service, '?service=auction')).toMatchObject({ error_code: 0 })
    clock.move(200)
    expect(await ask(service, '?service=auction')).toMatchObject({ error_code: -1 })
  })

  test('is still known while NATS is away', async () => {
    const clock = new ManualClock()
    const service = await boot({}, clock)
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    await announce('auction-push')
    await eventually(async () => (await ask(service, '?service=auction')).error_code === 0)
    await nats.halt()
    await eventually(() => !service.bus.connected)
    clock.move(60_000)
    expect(await ask(service, '?service=auction')).toMatchObject({ error_code: 0 })
    expect((await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).status).toBe(503)
  })
})

describe('starting and stopping', () => {
  const readyz = async (service: Discovery) =>
    (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).status

  test('is not ready before every instance has had the time to announce itself', async () => {
    const clock = new ManualClock()
    const service = await boot({}, clock)
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    expect(await readyz(service)).toBe(503)
    expect(await ask(service)).toEqual({
      error_code: -1,
      error_reason: 'the live endpoints are not known yet',
    })
    await announce('voice-room-ws')
    await eventually(async () => (await ask(service)).error_code === 0)
    expect(await readyz(service)).toBe(503)
    clock.move(2_500)
    expect(await readyz(service)).toBe(200)
    expect(await ask(service, '?service=im')).toMatchObject({ error_reason: 'no im endpoint is live' })
  })

  test('answers for the drain delay, while it says that it is not ready', async () => {
    const clock = new ManualClock()
    const service = await boot({ DRAIN_DELAY_SECONDS: '1' }, clock)
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    await announce('voice-room-ws')
    await eventually(async () => (await ask(service)).error_code === 0)
    clock.move(2_500)
    expect(await readyz(service)).toBe(200)
    let stopped = false
    const startedAtMs = performance.now()
    const stopping = service.stop().then(() => {
      stopped = true
      return performance.now() - startedAtMs
    })
    await eventually(async () => (await readyz(service)) === 503)
    if (!stopped) expect(await ask(service)).toMatchObject({ error_code: 0 })
    expect(await stopping).toBeGreaterThanOrEqual(990)
    await expect(ask(service)).rejects.toThrow()
  })

  test.each([
    ['public', (service: Discovery) => service.port() as number],
    ['admin', (service: Discovery) => service.adminPort],
  ])('a body that never comes holds no socket of the %s port', async (_name, portOf) => {
    const clock = new ManualClock()
    const service = await boot({}, clock)
    const socket = connect(portOf(service), '127.0.0.1')
    let ended = false
    socket.on('error', () => {})
    socket.once('close', () => {
      ended = true
    })
    socket.resume()
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n')
    await eventually(() => {
      clock.move(1_000)
      return ended
    })
  })
})

describe('bad questions', () => {
  test('an unknown service, a doubled parameter, another path', async () => {
    const service = await boot()
    expect(await ask(service, '?service=x')).toEqual({
      error_code: -1,
      error_reason: 'service must be one of auction, voice, quote, im, campus',
    })
    expect(await ask(service, '?service=constructor')).toMatchObject({ error_code: -1 })
    expect(await ask(service, '?service=im&service=voice')).toMatchObject({ error_code: -1 })
    expect(await ask(service, '?service=%ff')).toMatchObject({ error_code: -1 })
    expect(await get(service, '/other')).toMatchObject({ status: 404, body: { error_code: -1 } })
  })

  test('announcements that are not true to their subject or their schema are refused', async () => {
    const service = await boot()
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    await publishRaw(nats.port, 'discovery.announce.auction-push.i1', '{"service":"auction-push"}')
    await announce('auction-push', { end_point: 'javascript:alert(1)' })
    await announce('voice-room-ws')
    await eventually(async () => (await ask(service)).error_code === 0)
    expect(await ask(service, '?service=auction')).toMatchObject({ error_code: -1 })
  })

  test('an end point is handed out as a URL in its normal form, and what clients cannot use is refused', async () => {
    const service = await boot()
    await eventually(() => service.bus.connected)
    await service.bus.roundTrip()
    await announce('im-gateway', { end_point: 'ws://x/#fragment' })
    await announce('im-gateway', { end_point: 'ws://user:password@x' })
    await announce('im-gateway', { end_point: 'ws://a b' })
    await announce('im-gateway', { version: 'v'.repeat(100_000) })
    await announce('quote-interact', { end_point: 'wss://Example.com:443/a b"<>?c=\n' })
    await announce('auction-push', { end_point: 'ws://example.com:8080' })
    await announce('voice-room-ws', { end_point: 'ws://example.com/' })
    await eventually(async () => (await ask(service)).error_code === 0)
    expect((await ask(service)).end_point).toBe('ws://example.com/')
    expect((await ask(service, '?service=quote')).end_point).toBe('wss://example.com/a%20b%22%3C%3E?c=')
    expect((await ask(service, '?service=auction')).end_point).toBe('ws://example.com:8080')
    expect(await ask(service, '?service=im')).toMatchObject({ error_code: -1 })
  })

  test('signatures, where keys are set', async () => {
    const service = await boot({
      DISCOVERY_SIGN_KEYS: 'app=secret,other=x',
      AUCTION_FALLBACK_URL: 'wss://elsewhere',
    })
    const parameters = { code: 'app', service: 'auction', ts: '1', lang: '中' }
    const query = (all: Record<string, string>) => `?${new URLSearchParams(all)}`
    const h = signRequest(parameters, 'secret')
    expect(await ask(service, query({ ...parameters, h }))).toMatchObject({ error_code: 0 })
    for (const [change, reason] of [
      [{ h: '' }, 'h is required'],
      [{ code: '' }, 'code is required'],
      [{ h: 'x' }, 'the signature is not valid'],
      [{ ts: '2' }, 'the signature is not valid'],
      [{ code: 'nobody' }, 'the signature is not valid'],
    ] as const) {
      expect(await ask(service, query({ ...parameters, h, ...change }))).toEqual({
        error_code: -1,
        error_reason: reason,
      })
    }
  })
})

test('a window for the time of a signed request', async () => {
  const clock = new ManualClock()
  const service = await boot(
    {
      DISCOVERY_SIGN_KEYS: 'app=secret',
      DISCOVERY_SIGN_WINDOW_S: '300',
      AUCTION_FALLBACK_URL: 'wss://elsewhere',
    },
    clock,
  )
  const askAt = (ts: string | number) => {
    const parameters = { code: 'app', service: 'auction', ts: String(ts) }
    const h = signRequest(parameters, 'secret')
    return ask(service, `?${new URLSearchParams({ ...parameters, h })}`)
  }
  const now = clock.now()
  for (const ts of [now, now - 299_000, now + 299_000, Math.floor(now / 1_000)]) {
    expect(await askAt(ts)).toMatchObject({ error_code: 0 })
  }
  for (const ts of [now - 301_000, now + 301_000, 1])
    expect(await askAt(ts)).toMatchObject({ error_code: -1 })
  expect(await askAt(now - 301_000)).toMatchObject({ error_reason: 'ts is too far from the time' })
  clock.setWallClock(301_000)
  expect(await askAt(now)).toMatchObject({ error_code: -1 })
})

test('a bad environment is refused with everything that is wrong', () => {
  const bad = {
    DISCOVERY_LISTEN_PORT: 'x',
    DISCOVERY_SIGN_KEYS: 'nokey',
    VOICE_FALLBACK_URL: 'nourl',
    DRAIN_SECONDS: '-1',
  }
  expect(() => readConfig(bad)).toThrow(
    /DRAIN_SECONDS.*\n.*DISCOVERY_LISTEN_PORT.*\n.*DISCOVERY_SIGN_KEYS.*\n.*VOICE_FALLBACK_URL/,
  )
})
