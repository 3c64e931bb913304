import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { Bus } from '@carillon/bus'
import { auditStream } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { create, readConfig } from '../src/server.ts'
import {
  askAs,
  Browser,
  bootConsole,
  type Console,
  developmentToken,
  SECRET,
  token,
  withTokens,
} from './console.ts'

let nats: NatsServer
let guarded: Console
let open: Console
let operator: Browser
const lines: string[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
  const logDestination = { write: (line: string) => void lines.push(line) }
  guarded = await bootConsole(nats, { ...withTokens, LOG_LEVEL: 'info' }, { logDestination })
  open = await bootConsole(nats)
  await eventually(() => guarded.bus.connected && open.bus.connected)
  operator = await Browser.signedIn(open)
})
afterAll(async () => {
  await Promise.all([guarded?.stop(), open?.stop()])
  await nats?.stop()
})

/** Every route of the API with a request that would be understood. */
const reads = [
  '/api/connections?user_id=1',
  '/api/rooms?channel_name=hall',
  '/api/devices?serial_no=AC1',
  '/api/conversations?conv_id=group:tea',
  '/api/followers?service=auction-push&topic=x',
  '/api/settings',
  '/api/channels',
] as const
const acts = [
  ['POST', '/api/disconnect', { user_id: '1' }],
  ['PUT', '/api/settings', { key: 'auction-push.idle_timeout_ms', value: 5_000 }],
  [
    'POST',
    '/api/publish',
    { channel: 'campus.room', params: { room: 'hall', event: 'memos_update' }, payload: { memo_id: 1 } },
  ],
  ['POST', '/api/try', { service: 'auction', user_id: '1' }],
  ['GET', '/api/audit', undefined],
] as const

describe('who may do what', () => {
  test('no route of the API is forgotten here, and each says whom it is for', () => {
    const tested = [
      ...reads.map((path) => `GET ${path.split('?')[0]}`),
      ...acts.map(([method, path]) => `${method} ${path}`),
      ...['GET /api/live', 'GET /api/session', 'POST /api/session', 'DELETE /api/session'],
    ]
    expect([...guarded.routes].sort()).toEqual(tested.sort())
  })

  test.each([
    ['without a session', async () => new Browser(guarded)],
    [
      'with a cookie that nobody was given',
      async () => {
        const browser = new Browser(guarded)
        browser.cookie = `carillon_console=${'A'.repeat(43)}`
        return browser
      },
    ],
  ])('%s nothing is answered', async (_name, make) => {
    const browser = await make()
    for (const path of [...reads, '/api/live'])
      expect([path, (await browser.get(path)).status]).toEqual([path, 401])
    for (const [method, path, body] of acts)
      expect([path, (await browser.send(method, path, body)).status]).toEqual([path, 401])
    expect((await browser.get('/api/session')).body).toEqual({ signed_in: false, sign_in: 'token' })
    expect((await browser.get('/api/nothing')).status).toBe(404)
  })

  test('a path that is spelt in another way is the same route, for the same people', async () => {
    const browser = new Browser(guarded)
    const viewer = await Browser.signedIn(guarded, { token: await token({ sub: 'vera', role: 'viewer' }) })
    for (const spelling of ['/%61pi/', '/ap%69/', '/%61%70%69/']) {
      const other = (path: string) => path.replace('/api/', spelling)
      for (const path of [...reads, '/api/live'])
        expect([path, (await browser.get(other(path))).status]).toEqual([path, 401])
      for (const [method, path, body] of acts) {
        expect([path, (await browser.send(method, other(path), body)).status]).toEqual([path, 401])
        expect([path, (await viewer.send(method, other(path), body)).status]).toEqual([path, 403])
      }
      const origin = { origin: 'https://evil.example.com' }
      expect((await browser.send('POST', `${spelling}session`, {}, origin)).status).toBe(403)
      expect((await viewer.get(`${spelling}settings`)).headers.get('cache-control')).toBe('no-store')
    }
  })

  test('a viewer reads, and does nothing', async () => {
    const browser = await Browser.signedIn(guarded, { token: await token({ sub: 'vera', role: 'viewer' }) })
    expect((await browser.get('/api/session')).body).toMatchObject({
      user: 'vera',
      role: 'viewer',
      development: false,
    })
    for (const path of reads) expect([path, (await browser.get(path)).status]).not.toEqual([path, 403])
    for (const [method, path, body] of acts)
      expect([path, (await browser.send(method, path, body)).status]).toEqual([path, 403])
    await eventually(() => lines.some((line) => line.includes('an act was refused') && line.includes('vera')))
  })

  test.each([
    ['of another secret', () => token({ role: 'operator' }, 'another-secret-0123456789-0123456789')],
    ['of the development secret', developmentToken],
    ['of another issuer', () => token({ role: 'operator', iss: 'https://elsewhere.example.com' })],
    ['for clients', () => token({ role: 'operator', aud: 'carillon' })],
    ['that is over', () => token({ role: 'operator', exp: 1_000_000 })],
    ['without a user', () => token({ role: 'operator', sub: undefined })],
    ['that is none', async () => 'not.a.token'],
    [
      'that is not signed',
      async () => {
        const [, claims] = (await token({ role: 'operator' })).split('.')
        return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`
      },
    ],
  ])('a token %s is refused', async (_name, make) => {
    const browser = new Browser(guarded)
    const { status, body, headers } = await browser.send('POST', '/api/session', { token: await make() })
    expect([status, body.error]).toEqual([401, 'not_signed_in'])
    expect(headers.get('set-cookie')).toBeNull()
  })

  test('a good token without a role is refused, and so is a development session where tokens are configured', async () => {
    const browser = new Browser(guarded)
    expect((await browser.send('POST', '/api/session', { token: await token({}) })).status).toBe(403)
    expect((await browser.send('POST', '/api/session', {})).status).toBe(401)
  })

  test('signing out ends the session and its tabs; the log has no token', async () => {
    const secret = await token({ sub: 'olga', role: ['viewer', 'operator'] })
    const browser = await Browser.signedIn(guarded, { token: secret })
    const { cookie } = browser
    const tab = await browser.live()
    await eventually(() => tab.count('history') === 1)
    expect((await browser.send('DELETE', '/api/session')).status).toBe(204)
    await eventually(() => tab.ended)
    expect(tab.last('end')).toEqual({ reason: 'signed_out' })
    browser.cookie = cookie
    expect((await browser.get('/api/settings')).status).toBe(401)
    await eventually(() => lines.some((line) => line.includes('sign_out') && line.includes('olga')))
    const log = lines.join('')
    for (const text of [secret, secret.split('.')[2] as string, cookie.split('=')[1] as string, SECRET])
      expect(log).not.toContain(text)
  })

  test('the cookie is for this site and no script', async () => {
    const answer = await new Browser(open).send('POST', '/api/session', {})
    expect(answer.body).toMatchObject({
      user: 'developer',
      role: 'operator',
      development: true,
      try_it: true,
    })
    expect(answer.headers.get('set-cookie')).toMatch(
      /^carillon_console=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=28[78]\d\d$/,
    )
  })
})

describe('another site', () => {
  const act = { user_id: '1' }
  test.each([
    ['without the header', {}],
    ['with the header from another origin', { 'carillon-console': '1', origin: 'https://evil.example.com' }],
    ['from a sandboxed frame', { 'carillon-console': '1', origin: 'null' }],
    ['from another port of this machine', { 'carillon-console': '1', origin: 'http://127.0.0.1:1' }],
    ['that the browser names', { 'carillon-console': '1', 'sec-fetch-site': 'cross-site' }],
    ['on the same domain', { 'carillon-console': '1', 'sec-fetch-site': 'same-site' }],
  ])('%s changes nothing', async (_name, headers) => {
    const { cookie } = operator
    const browser = new Browser(open, headers)
    browser.cookie = cookie
    expect((await browser.send('POST', '/api/disconnect', act)).status).toBe(403)
  })

  test('the page itself may', async () => {
    const browser = operator
    const headers = { origin: browser.url, 'sec-fetch-site': 'same-origin' }
    expect((await browser.send('POST', '/api/disconnect', act, headers)).status).toBe(200)
  })

  test('a form cannot send a body that is understood', async () => {
    const browser = operator
    const headers = { 'content-type': 'text/plain' }
    expect((await browser.send('POST', '/api/disconnect', JSON.stringify(act), headers)).status).toBe(415)
  })

  test('a name that was made to resolve to this machine gets no answer', async () => {
    const asked = { method: 'GET', path: '/api/session', headers: {} }
    expect((await askAs('evil.example.com', open.port() as number, asked)).status).toBe(403)
  })
})

describe('hostile requests', () => {
  test.each([
    ['no JSON', '{', 400],
    ['an array', '[]', 400],
    ['a prototype', '{"user_id":"1","__proto__":{"role":"operator"}}', 400],
    ['what it does not know', '{"user_id":"1","all":true}', 400],
    ['no user', '{"user_id":""}', 400],
    ['a number for a name', '{"user_id":1}', 400],
    ['a service that is none', '{"user_id":"1","service":"*"}', 400],
    ['a reason beyond a close frame', JSON.stringify({ user_id: '1', reason: 'é'.repeat(100) }), 400],
    ['too much', JSON.stringify({ user_id: '1', reason: 'x'.repeat(20_000) }), 413],
  ])('a body with %s is refused in words', async (_name, body, status) => {
    const browser = operator
    const answer = await browser.send('POST', '/api/disconnect', body)
    expect(answer.status).toBe(status)
    expect(answer.body).toEqual({ error: expect.any(String), reason: expect.any(String) })
  })

  test.each([
    '/api/connections',
    '/api/connections?user_id=1&user_id=2',
    '/api/devices?serial_no=../x',
    '/api/followers?service=console&topic=x',
    '/api/audit?before=-1',
    '/api/conversations?conv_id=group:tea&after=%27%20or%201=1',
  ])('%s is refused', async (path) => {
    expect((await operator.get(path)).status).toBe(400)
  })

  test('every answer forbids what the page does not need', async () => {
    for (const path of ['/', '/api/session', '/api/nothing']) {
      const { headers } = await fetch(`http://127.0.0.1:${guarded.port()}${path}`)
      const policy = headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
      expect(policy).not.toMatch(/unsafe/)
      // Browsers complain in every tab of such a source.
      expect(policy).not.toContain('[')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
    }
  })

  test('many attempts to sign in from one address are refused', async () => {
    const service = await bootConsole(nats, withTokens)
    try {
      const browser = new Browser(service)
      const statuses = await Promise.all(
        Array.from(
          { length: 60 },
          async () => (await browser.send('POST', '/api/session', { token: 'x' })).status,
        ),
      )
      expect(statuses).toContain(401)
      expect(statuses).toContain(429)
    } finally {
      await service.stop()
    }
  })
})

test('a flood of refused attempts to sign in does not fill the record: what is too many stands in the log', async () => {
  const printed: string[] = []
  const logDestination = { write: (line: string) => void printed.push(line) }
  const environment = { ...withTokens, LOG_LEVEL: 'info', TRUST_PROXY: '127.0.0.1' }
  const service = await bootConsole(nats, environment, { logDestination })
  const bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  try {
    await eventually(() => service.bus.connected && bus.connected)
    const before = (await bus.stream(auditStream).position()).sequence
    const browser = new Browser(service)
    for (let each = 0; each < 300; each += 1) {
      // Each from an address of its own.
      const headers = { 'x-forwarded-for': `198.51.100.${each % 250}` }
      expect((await browser.send('POST', '/api/session', { token: 'x' }, headers)).status).toBe(401)
    }
    const after = (await bus.stream(auditStream).position()).sequence
    expect(after - before).toBeGreaterThanOrEqual(200)
    expect(after - before).toBeLessThan(300)
    await eventually(() => printed.filter((line) => line.includes('"result":"refused"')).length === 300)
  } finally {
    await bus.stop()
    await service.stop()
  }
})

test('a flood of tabs: ten of one user are served, one more is refused, and a closed one makes room', async () => {
  const browser = operator
  const tabs = await Promise.all(Array.from({ length: 14 }, () => browser.live()))
  const served = tabs.filter(({ status }) => status === 200)
  expect(served).toHaveLength(10)
  expect(tabs.filter(({ status }) => status === 429)).toHaveLength(4)
  await eventually(() => served.every((tab) => tab.count('snapshot') > 0))
  served[0]?.close()
  await eventually(async () => (await browser.live()).status === 200)
  for (const tab of tabs) tab.close()
  await eventually(() => open.streams.size <= 1)
})

describe('the built page', () => {
  let folder: string
  let service: Console
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'carillon-page-'))
    await mkdir(join(folder, 'assets'))
    await writeFile(join(folder, 'index.html'), '<!doctype html><title>page</title>')
    await writeFile(join(folder, 'assets', 'index-AbCd1234.js'), 'export {}')
    await writeFile(join(folder, 'assets', 'index-AbCd1234.js.br'), brotliCompressSync('export {}'))
    await writeFile(join(folder, 'assets', 'index-AbCd1234.js.gz'), gzipSync('export {}'))
    service = await bootConsole(nats, {}, { page: folder })
  })
  afterAll(async () => {
    await service?.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${service.port()}${path}`, { headers })

  test.each(['br', 'gzip'])(
    'its assets are compressed beforehand (%s) and kept for ever',
    async (encoding) => {
      const response = await get('/assets/index-AbCd1234.js', { 'accept-encoding': encoding })
      expect(response.headers.get('content-encoding')).toBe(encoding)
      expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
      expect(response.headers.get('content-type')).toMatch(/javascript/)
      expect(await response.text()).toBe('export {}')
    },
  )

  test('the page itself is asked for each time, without a session', async () => {
    const response = await get('/')
    expect(await response.text()).toContain('<title>page</title>')
    expect(response.headers.get('cache-control')).toBe('no-cache')
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  test.each(['/assets/../../package.json', '/assets/%2e%2e/%2e%2e/package.json', '/.env', '/assets/'])(
    '%s is not there',
    async (path) => {
      expect(
        (await askAs('127.0.0.1', service.port() as number, { method: 'GET', path, headers: {} })).status,
      ).toBe(404)
    },
  )
})

test('behind a proxy that others reach, nobody is let in without a token', () => {
  const developmentSession = (environment: Record<string, string>) =>
    readConfig(environment).developmentSession
  expect(developmentSession({})).toBe(true)
  expect(developmentSession({ CONSOLE_PUBLIC_URL: 'http://localhost:3000' })).toBe(true)
  expect(developmentSession({ CONSOLE_PUBLIC_URL: 'https://console.example.com' })).toBe(false)
  expect(developmentSession({ LISTEN_HOST: '0.0.0.0', AUTH_HS256_SECRET: SECRET })).toBe(false)
})

describe('in production', () => {
  const production = {
    NODE_ENV: 'production',
    CONSOLE_PUBLIC_URL: 'https://console.example.com',
    ...withTokens,
  }

  test.each([
    ['AUTH_HS256_SECRET', /AUTH_HS256_SECRET or AUTH_JWKS_URL is required/],
    ['AUTH_ISSUER', /AUTH_ISSUER is required/],
    ['AUTH_AUDIENCE', /AUTH_AUDIENCE is required/],
    ['CONSOLE_PUBLIC_URL', /CONSOLE_PUBLIC_URL must be an https URL/],
  ])('it does not start without %s', (variable, problem) => {
    expect(() => readConfig({ ...production, [variable]: undefined })).toThrow(problem)
  })

  test('no development session, no test users, a cookie for https alone', async () => {
    const config = readConfig({
      ...production,
      ...{ NATS_URL: nats.url, LISTEN_HOST: '127.0.0.1', CONSOLE_LISTEN_PORT: '0', CONSOLE_ADMIN_PORT: '0' },
      ...{ LOG_LEVEL: 'fatal', DRAIN_DELAY_SECONDS: '0' },
    })
    expect([config.developmentSession, config.tryIt]).toEqual([false, undefined])
    const service = create(config)
    await service.start()
    const { port } = { port: service.port() as number }
    // As the proxy in front would ask.
    const ask = (method: string, path: string, body?: object, headers: Record<string, string> = {}) =>
      askAs('console.example.com', port, { method, path, headers, ...(body && { body }) })
    try {
      expect((await ask('POST', '/api/session', {})).status).toBe(401)
      const signedIn = await ask('POST', '/api/session', { token: await token({ role: 'operator' }) })
      expect(JSON.parse(signedIn.body)).toMatchObject({ role: 'operator', try_it: false })
      expect(signedIn.headers['strict-transport-security']).toBeDefined()
      expect(signedIn.headers['content-security-policy']).not.toContain('*')
      const cookie = String(signedIn.headers['set-cookie'])
      expect(cookie).toMatch(/^__Host-carillon_console=.*; Path=\/; HttpOnly; SameSite=Strict; Secure;/)
      const session = { cookie: cookie.split(';')[0] as string, origin: 'https://console.example.com' }
      expect((await ask('POST', '/api/try', { service: 'im', user_id: '1' }, session)).status).toBe(404)
      const elsewhere = { ...session, origin: 'http://console.example.com' }
      expect((await ask('POST', '/api/try', { service: 'im', user_id: '1' }, elsewhere)).status).toBe(403)
      expect(
        (await askAs('127.0.0.1', port, { method: 'GET', path: '/api/session', headers: {} })).status,
      ).toBe(403)
    } finally {
      await service.stop()
    }
  })
})

test('the audit stream is kept, and nothing can be deleted from it', async () => {
  const bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  try {
    await eventually(() => bus.connected)
    await eventually(async () => (await bus.stream(auditStream).position()).sequence > 0)
    await expect(bus.stream(auditStream).delete(1)).rejects.toThrow(/delete/)
  } finally {
    await bus.stop()
  }
})
