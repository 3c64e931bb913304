import { readConfig as auctionConfig, create as createAuction } from '@carillon/auction-push'
import { Bus } from '@carillon/bus'
import { readConfig as campusConfig, create as createCampus } from '@carillon/campus-socketio'
import { ANNOUNCE_INTERVAL_MS, control, discovery, type Stats } from '@carillon/events'
import {
  AppProcess,
  eventually,
  loginToken,
  NatsServer,
  testEnvironment,
  WebSocketClient,
} from '@carillon/testkit'
import { create as createVoice, readConfig as voiceConfig } from '@carillon/voice-room-ws'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type { AuditEntry, Instance, SettingState } from '../src/api.ts'
import { payloadErrors } from '../web/src/publish/payload-check.ts'
import { Browser, bootConsole, type Console, type LiveTab } from './console.ts'

let nats: NatsServer
let service: Console
let auction: ReturnType<typeof createAuction>
let bus: Bus
let browser: Browser
const others: { stop(): Promise<unknown> }[] = []
const ends: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  auction = createAuction(auctionConfig(testEnvironment('AUCTION', nats)))
  const campus = createCampus(campusConfig(testEnvironment('CAMPUS', nats)))
  const voice = createVoice(voiceConfig(testEnvironment('VOICE', nats)))
  others.push(auction, campus, voice)
  service = await bootConsole(nats)
  await Promise.all([auction.start(), campus.start(), voice.start()])
  const all = [service, auction, campus, voice]
  await eventually(async () => {
    const answers = await Promise.all(
      all.map(({ adminPort }) => fetch(`http://127.0.0.1:${adminPort}/readyz`)),
    )
    return bus.connected && answers.every(({ ok }) => ok)
  })
  browser = await Browser.signedIn(service)
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(async () => {
  await service?.stop()
  await Promise.all(others.map((other) => other.stop()))
  await bus?.stop()
  await nats?.stop()
})

async function connect(userId: string): Promise<WebSocketClient> {
  const token = await loginToken(userId)
  const client = await WebSocketClient.connect(`ws://127.0.0.1:${auction.listener.port}/ws/${token}`)
  ends.push(() => client.close())
  return client
}
async function look(): Promise<LiveTab> {
  const tab = await browser.live()
  ends.push(() => tab.close())
  await eventually(() => tab.count('snapshot') > 0)
  return tab
}
const instanceOf = (tab: LiveTab, id: string): Instance | undefined =>
  tab.last('snapshot').instances.find((each: Instance) => each.instance_id === id)
const bid = (amount: number) => ({ amount, nickName: 'Ann', avatar: '', userId: 1, auctionId: 77 })
const subscribe = { key: 'auction_subscribe', data: { event: 'bid', auctionId: '77' } }
/** As `eventually`, four times a second at most: how often a user may ask has a bound. */
const politely = (check: () => Promise<boolean>) =>
  eventually(async () => {
    await new Promise((resolve) => setTimeout(resolve, 250))
    return check()
  })
const act = (path: string, body: object) => browser.send('POST', path, body)
const audited = async (): Promise<AuditEntry[]> => (await browser.get('/api/audit?limit=10')).body.entries

describe('live', () => {
  test('instances are asked while a tab is open, and never otherwise', async () => {
    let asked = 0
    const heard = bus.subscribe(control.stats, { service: 'auction-push' }, () => {
      asked += 1
    })
    ends.push(() => heard.unsubscribe())
    await bus.roundTrip()
    expect([service.collector.asking, service.collector.rounds]).toEqual([false, 0])
    const tabs = [await look(), await look()]
    await eventually(() => asked >= 2 && service.collector.rounds >= 2)
    // One collector for all tabs.
    expect(asked).toBeLessThanOrEqual(service.collector.rounds + 1)
    for (const tab of tabs) tab.close()
    await eventually(() => !service.collector.asking && service.streams.size === 0)
  })

  test('shows connections, rates and the state of an instance; a new tab gets the history', async () => {
    const tab = await look()
    const clients = await Promise.all(['1', '2', '3'].map(connect))
    await eventually(() => instanceOf(tab, auction.instanceId)?.connections === 3)
    expect(instanceOf(tab, auction.instanceId)).toMatchObject({
      ...{ service: 'auction-push', region: 'default', state: 'ready', silent: false },
      capacity: expect.any(Number),
    })
    for (const client of clients) client.send(JSON.stringify(subscribe))
    await eventually(() => clients.every(({ frames }) => frames.some((frame) => frame.includes('success'))))
    // Every second's rate times its second: what was delivered, whatever the seconds were.
    const rates = () =>
      tab.events.map(({ data }) => data.services?.['auction-push']?.deliveries_per_s ?? 0) as number[]
    const delivered = await act('/api/publish', {
      channel: 'auction.bid',
      params: { auctionId: '77' },
      payload: bid(1),
    })
    expect(delivered.body).toEqual({ subject: 'auction.77.bid', sequence: expect.any(Number) })
    await eventually(() =>
      clients.every(({ frames }) => frames.some((frame) => frame.includes('"amount":1'))),
    )
    await eventually(() => rates().some((rate) => rate > 0))
    await eventually(() => tab.last('snapshot').services['auction-push'].connections === 3)
    const second = await look()
    const history = second.last('history')
    expect(history.services['auction-push'].connections).toContain(3)
    expect(history.services['auction-push'].connections).toHaveLength(history.at.length)
  })

  test('an instance that is killed goes within 8 s, and one that starts comes', async () => {
    const tab = await look()
    const those = (): Instance[] =>
      tab.last('snapshot').instances.filter((each: Instance) => each.service === 'quote-interact')
    const quotes = await AppProcess.start('quote-interact', 'QUOTE', { NATS_URL: nats.url })
    ends.push(() => quotes.stop('SIGKILL'))
    const [killed] = await eventually(() => those().length === 1 && those())
    const killedAt = performance.now()
    await quotes.stop('SIGKILL')
    const next = createAuction(auctionConfig(testEnvironment('AUCTION', nats)))
    ends.push(() => next.stop())
    await next.start()
    await eventually(() => instanceOf(tab, next.instanceId) !== undefined)
    await eventually(() => those().length === 0)
    // Generous: on a quiet machine it is 6 to 8 s.
    expect(performance.now() - killedAt).toBeLessThan(30_000)
    expect(instanceOf(tab, killed?.instance_id ?? '')).toBe(undefined)
    expect(tab.last('snapshot').services['quote-interact']).toBe(undefined)
    await next.stop()
    await eventually(() => instanceOf(tab, next.instanceId) === undefined)
  })
})

describe('look-ups and acts', () => {
  test("a user's connections, a topic's followers, and the end of them", async () => {
    const client = await connect('4711')
    client.send(JSON.stringify(subscribe))
    await eventually(() => client.frames.some((frame) => frame.includes('success')))
    const { body } = await browser.get('/api/connections?user_id=4711')
    const found = body.services.find((each: { service: string }) => each.service === 'auction-push')
    expect(found.instances).toEqual([
      {
        instance_id: auction.instanceId,
        count: 1,
        connections: [expect.objectContaining({ user_id: '4711', subscriptions: ['auction.77.bid'] })],
      },
    ])
    expect(found.unanswered).toEqual([])
    const followers = await browser.get('/api/followers?service=auction-push&topic=auction.77.bid')
    expect(followers.body.instances).toEqual([
      { instance_id: auction.instanceId, followers: 1, user_ids: ['4711'] },
    ])
    const ended = await act('/api/disconnect', { user_id: '4711', reason: 'by hand' })
    expect(ended.body.closed).toBe(1)
    await eventually(() => client.closed !== undefined)
    const entries = await audited()
    expect(entries.slice(0, 2)).toEqual([
      expect.objectContaining({
        ...{ act: 'disconnect', user: 'developer', role: 'operator', result: 'done', detail: '1 closed' },
        target: { user_id: '4711', reason: 'by hand' },
        remote_address: '127.0.0.1',
      }),
      expect.objectContaining({ act: 'disconnect', result: 'begun', act_id: entries[0]?.act_id }),
    ])
  })

  test('a setting: bounds, revisions, and what instances run with', async () => {
    const key = 'auction-push.idle_timeout_ms'
    const tab = await look()
    const read = async (): Promise<SettingState> =>
      (await browser.get('/api/settings')).body.settings.find((each: SettingState) => each.key === key)
    const put = (body: object) => browser.send('PUT', '/api/settings', body)
    await politely(async () => (await read()).effective.length === 1)
    expect(await read()).toMatchObject({
      ...{ revision: 0, effective: [{ value: 30_000, instances: 1 }] },
      schema: { type: 'integer', minimum: 1_000, maximum: 86_400_000 },
    })
    expect((await put({ key, value: 10 })).status).toBe(400)
    expect((await put({ key: 'auction-push.nothing', value: 10 })).status).toBe(404)
    const { body } = await put({ key, value: 45_000, revision: 0 })
    expect((await put({ key, value: 50_000, revision: body.revision + 1 })).status).toBe(409)
    await politely(async () => (await read()).effective[0]?.value === 45_000)
    expect(await read()).toMatchObject({ value: 45_000, revision: body.revision })
    expect((await put({ key, value: null })).status).toBe(200)
    await politely(async () => (await read()).effective[0]?.value === 30_000)
    expect((await read()).value).toBe(undefined)
    expect((await audited()).map(({ act, result }) => `${act} ${result}`)).toContain('setting failed')
    tab.close()
  })

  test.each([
    ['no such channel', { channel: 'auction.nothing', params: {}, payload: {} }, 404],
    [
      'a payload that does not match',
      { channel: 'auction.bid', params: { auctionId: '77' }, payload: {} },
      400,
    ],
    [
      'another id in the subject',
      { channel: 'auction.bid', params: { auctionId: '78' }, payload: bid(1) },
      400,
    ],
    ['no id', { channel: 'auction.bid', params: {}, payload: bid(1) }, 400],
    [
      'a header of its own',
      {
        channel: 'auction.bid',
        params: { auctionId: '77' },
        payload: bid(1),
        headers: { 'Nats-Rollup': 'all' },
      },
      400,
    ],
    [
      'an endless subject',
      {
        channel: 'campus.room',
        params: { room: 'é'.repeat(1_000), event: 'memos_update' },
        payload: { memo_id: 1 },
      },
      400,
    ],
    [
      'what is nested without an end',
      {
        channel: 'campus.room',
        params: { room: 'hall', event: 'memos_update' },
        payload: JSON.parse(`{"memo_id":1,"more":${'['.repeat(1_000)}${']'.repeat(1_000)}}`),
      },
      400,
    ],
  ])('%s is not published', async (_name, request, status) => {
    const { status: answered, body } = await act('/api/publish', request)
    expect([answered, typeof body.reason]).toEqual([status, 'string'])
  })

  test('every channel can be sent as its example stands, as far as somebody answers', async () => {
    const { channels } = (await browser.get('/api/channels')).body
    const kinds = new Set<string>()
    for (const { id, example, example_params, kind, schema, variants } of channels) {
      kinds.add(kind)
      // The page holds it against this schema, and sends nothing that does not match.
      const held = variants?.schemas[example_params[variants.param]] ?? schema
      expect([id, payloadErrors(held, example), payloadErrors(schema, example)]).toEqual([id, [], []])
      // A relay waits for a member, and the message service is not there.
      if (id.startsWith('im.') || (kind === 'request' && id.startsWith('voice.'))) continue
      const answer = await act('/api/publish', { channel: id, params: example_params, payload: example })
      // The device of the example is not connected.
      expect([id, answer.status]).toEqual([id, id === 'campus.device' ? 503 : 200])
    }
    expect(kinds).toEqual(new Set(['event', 'stored', 'request']))
    const entries = JSON.stringify(await audited())
    expect(entries).toContain('campus.device_put')
    expect(entries).not.toContain('abcdef')
  })

  test('credentials of a test user are good; a device is registered', async () => {
    const { body } = await act('/api/try', { service: 'auction', user_id: '9' })
    const client = await WebSocketClient.connect(`${body.base_url}/ws/${body.token}`)
    ends.push(() => client.close())
    const device = await act('/api/try', { service: 'campus', user_id: 'AC9' })
    expect(device.body).toMatchObject({ serial_no: 'AC9', device_key: 'abcdef' })
    expect((await browser.get('/api/devices?serial_no=AC9')).body).toMatchObject({
      ...{ serial_no: 'AC9', registered: true, online: false, pending: [] },
    })
    const outbox = { channel: 'campus.outbox', params: { serialNo: 'AC9', event: 'bind_class' } }
    await act('/api/publish', { ...outbox, payload: { id: 1, name: '3-1' } })
    await politely(async () => {
      const { pending } = (await browser.get('/api/devices?serial_no=AC9')).body
      return pending.length === 1 && pending[0].event === 'bind_class'
    })
    expect((await act('/api/try', { service: 'im', user_id: '9' })).body.reason).toMatch(/im-gateway/)
    expect((await browser.get('/api/conversations?conv_id=group:tea')).status).toBe(503)
    expect(JSON.stringify(await audited())).not.toContain(body.token)
  })

  test("a room's roster and call", async () => {
    const enter = { channel: 'voice.room', params: { channelName: 'hall', action: 'enter_room' } }
    const headers = { 'Carillon-Delivery': 'broadcast' }
    expect((await act('/api/publish', { ...enter, headers, payload: { user_id: 41 } })).status).toBe(200)
    const call = { channel: 'voice.call_start', params: { channelName: 'hall' } }
    await act('/api/publish', { ...call, payload: { user_id: 41, receiver_id: 42 } })
    await politely(async () => {
      const { members, call } = (await browser.get('/api/rooms?channel_name=hall')).body
      return members.length === 1 && members[0].user_id === '41' && String(call?.receiver_id) === '42'
    })
  })
})

test('the server follows 50 instances with less than a tenth of a core', async () => {
  const simulated = new Bus({ url: nats.url, name: 'fifty' })
  simulated.start()
  ends.push(() => simulated.stop())
  await eventually(() => simulated.connected)
  // As large as a real instance's answer is, and as changing.
  const real = await eventually(async () => {
    const [stats] = await bus.requestMany(control.stats, { service: 'auction-push' }, {})
    return stats ?? false
  })
  const started = performance.now()
  const announce = (i: number) => {
    const announcement = {
      ...{ service: 'im-gateway', instance_id: `i${i}`, end_point: 'ws://127.0.0.1', region: 'r' },
      ...{ connections: i, capacity: 50_000, draining: false, version: '1', started_at: 1 },
    }
    simulated.publish(discovery.announce, { service: 'im-gateway', instanceId: `i${i}` }, announcement)
  }
  for (let i = 0; i < 50; i++) {
    simulated.serve(control.stats, { service: 'im-gateway' }, (): Stats => {
      const uptime_ms = performance.now() - started + 1
      const samples = Object.fromEntries(
        Object.entries(real.samples).map(([name, value]) => [name, value + uptime_ms]),
      )
      return { ...real, service: 'im-gateway', instance_id: `i${i}`, uptime_ms, samples }
    })
    announce(i)
  }
  const timer = setInterval(() => {
    for (let i = 0; i < 50; i++) announce(i)
  }, ANNOUNCE_INTERVAL_MS)
  ends.push(() => clearInterval(timer))
  const app = await AppProcess.start('console', 'CONSOLE', { NATS_URL: nats.url })
  ends.push(() => app.stop('SIGKILL'))
  const fifty = await Browser.signedIn({ port: () => app.port } as Console)
  const tab = await fifty.live()
  ends.push(() => tab.close())
  await eventually(
    () => tab.count('snapshot') >= 5 && Object.hasOwn(tab.last('snapshot').services, 'im-gateway'),
  )
  await eventually(
    () =>
      tab.last('snapshot').instances.filter((each: Instance) => each.service === 'im-gateway').length === 50,
  )
  const [before, from] = [await app.metrics(), tab.count('snapshot')]
  await eventually(() => tab.count('snapshot') >= from + 8)
  const after = await app.metrics()
  const spent = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
  // CPU time, not the clock's: a busy machine makes rounds rarer, and not dearer.
  expect(spent('process_cpu_seconds_total') / spent('carillon_console_rounds_total')).toBeLessThan(0.1)
  expect(tab.last('snapshot').services['im-gateway'].deliveries_per_s).toBeGreaterThan(0)
})

test('NATS away: tabs are told, nothing is done unrecorded, and all goes on afterwards', async () => {
  const tab = await look()
  await nats.halt('SIGKILL')
  await eventually(() => tab.last('snapshot').nats_connected === false)
  expect(instanceOf(tab, auction.instanceId)).toBeDefined()
  expect((await browser.get('/api/rooms?channel_name=hall')).body.error).toBe('unavailable')
  const refused = await act('/api/disconnect', { user_id: '1' })
  expect(refused.body).toEqual({
    error: 'unavailable',
    reason: 'the act cannot be recorded, nothing was done',
  })
  const late = await Browser.signedIn(service)
  expect((await late.get('/api/session')).body).toMatchObject({ signed_in: true })
  await nats.resume()
  await eventually(() => tab.last('snapshot').nats_connected === true && bus.connected)
  await politely(async () => (await act('/api/disconnect', { user_id: '1' })).status === 200)
  await eventually(() => instanceOf(tab, auction.instanceId)?.silent === false)
})
