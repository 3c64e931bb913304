import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Reply } from '@carillon/bus'
import { auction, campus, control, im, natsUsers, quote, settingsBucket, voice } from '@carillon/events'
import * as messages from '@carillon/im-messages'
import { eventually, testEnvironment, type WebSocketClient } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { bootAuction, connectAuction } from '../../apps/auction-push/test/auction.ts'
import { bootCampus, registerDevice, TestDevice } from '../../apps/campus-socketio/test/campus.ts'
import { Browser, bootConsole } from '../../apps/console/test/console.ts'
import * as discovery from '../../apps/endpoint-discovery/src/server.ts'
import * as imGateway from '../../apps/im-gateway/src/server.ts'
import { ImClient } from '../../apps/im-gateway/test/im-client.ts'
import { bootQuote, connectQuote } from '../../apps/quote-interact/test/quote.ts'
import { bootVoice, VoiceClient } from '../../apps/voice-room-ws/test/voice.ts'
import { accountsConf } from '../../scripts/nats-users.ts'
import { RestrictedNats } from './restricted-nats.ts'

let nats: RestrictedNats
const ends: (() => unknown)[] = []
beforeAll(async () => {
  nats = await RestrictedNats.start()
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  const refusals = nats.refusals.splice(0)
  expect(refusals).toEqual([])
})
afterAll(() => nats?.stop())

/** The environment of a service, and a log of everything that NATS refuses it. */
function restricted(user: string) {
  const environment = { ...nats.environment(user), LOG_LEVEL: 'warn' }
  const logDestination = {
    write: (line: string) => {
      if (/refused|not available|failed/.test(line)) nats.refusals.push({ user, line })
    },
  }
  return [environment, { logDestination }] as const
}
const ready = async (service: { readonly adminPort: number; stop(): Promise<void> }) => {
  ends.push(() => service.stop())
  await eventually(async () => (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).ok, 60_000)
}

test('deploy/nats/accounts.conf is what the code says (npm run docs)', () => {
  expect(readFileSync(new URL('../nats/accounts.conf', import.meta.url), 'utf8')).toBe(accountsConf())
})

describe('works with exactly its permissions', () => {
  const next = async (client: WebSocketClient, text: string) =>
    eventually(() => client.frames.some((frame) => frame.includes(text)), 10_000)

  test('auction-push, with live settings, control and discovery', async () => {
    const service = await bootAuction(nats.server, ...restricted('auction-push'))
    await ready(service)
    const [environment, overrides] = restricted('endpoint-discovery')
    const found = discovery.create(
      discovery.readConfig({ ...testEnvironment('DISCOVERY', nats.server), ...environment }),
      overrides,
    )
    await found.start()
    await ready(found)
    const publisher = await nats.connect('auction-publisher')
    const client = await connectAuction(service)
    ends.push(() => client.close())
    const subscribe = (auctionId: string) =>
      client.send(
        JSON.stringify({ key: 'auction_subscribe', data: { event: 'bid', auctionId, recover: true } }),
      )
    const bid = (auctionId: number) => ({ amount: 7, nickName: 'Ann', avatar: '', userId: 1, auctionId })
    // Stored and acknowledged to its publisher; then read by whoever comes late.
    await publisher.publishStored(auction.bid, { auctionId: '1' }, bid(1))
    subscribe('1')
    await next(client, '"auctionId":1}')
    subscribe('2')
    await next(client, 'success')
    await service.bus.roundTrip()
    publisher.publish(auction.bid, { auctionId: '2' }, bid(2))
    await next(client, '"auctionId":2}')

    const operator = await nats.connect('operator')
    const [report] = await operator.requestMany(control.connections, { service: 'auction-push' }, {})
    expect(report).toMatchObject({ instance_id: service.instanceId, count: 1 })
    const settings = operator.bucket(settingsBucket)
    await settings.put('auction-push.max_connections', 1)
    await eventually(async () => {
      const more = await connectAuction(service).catch(() => undefined)
      more?.close()
      return more === undefined
    }, 10_000)
    await settings.delete('auction-push.max_connections')
    await eventually(async () => {
      const response = await fetch(`http://127.0.0.1:${found.port()}/iapi/websocket/end_points`)
      return (await response.text()).includes(`:${service.listener.port}`)
    }, 10_000)
  })

  test('quote-interact', async () => {
    const service = await bootQuote(nats.server, ...restricted('quote-interact'))
    await ready(service)
    const publisher = await nats.connect('quote-publisher')
    const items = [{ event_id: 'e', market_id: 'm', product_id: '1', price: '1.5', status: '1' }]
    await publisher.publishStored(quote.chloe, { eventId: 'e', marketId: 'm' }, items)
    const client = await connectQuote(service)
    ends.push(() => client.close())
    client.send('{"commend":"order-slip-quote@chloe-market#e@m"}')
    await next(client, '"price":"1.5"')
  })

  test('voice-room-ws, two instances', async () => {
    const [environment, overrides] = restricted('voice-room-ws')
    const times = { ...environment, VOICE_RELAY_TIMEOUT_MS: '300', VOICE_RELAY_MAX_ATTEMPTS: '2' }
    const one = await bootVoice(nats.server, times, overrides)
    await ready(one)
    const two = await bootVoice(nats.server, times, overrides)
    await ready(two)
    const publisher = await nats.connect('voice-publisher')
    const received: string[] = []
    publisher.subscribe(voice.online, {}, ({ params }) => received.push(`online ${params.userId}`))
    publisher.subscribe(voice.offline, {}, ({ params }) => received.push(`offline ${params.userId}`))
    publisher.subscribe(voice.evicted, {}, ({ params }) => received.push(`evicted ${params.userId}`))
    publisher.subscribe(voice.unconfirmed, {}, () => received.push('unconfirmed'))
    publisher.subscribe(voice.report, {}, ({ params }) => received.push(`report ${params.action}`))
    await publisher.roundTrip()
    const [ann, bob] = [await VoiceClient.connect(one, '41'), await VoiceClient.connect(two, '42')]
    ends.push(
      () => ann.kill(),
      () => bob.kill(),
    )
    const room = (action: string, body: object, headers: Record<string, string> = {}) =>
      publisher.request(voice.room, { channelName: 'hall', action }, body as never, {
        timeoutMs: 20_000,
        headers,
      })
    const broadcast = { 'Carillon-Delivery': 'broadcast' }
    await room('enter_room', { user_id: 41 }, broadcast)
    await room('enter_room', { user_id: 42 }, broadcast)
    await eventually(async () => {
      const { members } = await publisher.request(voice.room_state, {}, { channel_name: 'hall' })
      return members.filter(({ online }) => online).length === 2
    }, 20_000)
    expect(await publisher.request(voice.user_state, {}, { user_id: 42 })).toMatchObject({ online: true })
    // Nobody confirms it: relayed between the instances, attempt by attempt, and reported as unconfirmed.
    await room('exit_room', { user_id: 41, room_seat: { id: 1, status: 2, microphone: 0 } })
    bob.report('exit_room_report', '41')
    await eventually(
      () => received.includes('unconfirmed') && received.includes('report exit_room_report'),
      20_000,
    )
    // Its connection ends without a word: evicted, over the queue of evictions.
    bob.kill()
    await eventually(() => received.includes('evicted 42') && received.includes('offline 42'), 30_000)
    expect(received).toContain('online 41')
  }, 120_000)

  test('im-gateway and im-messages', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-im-users-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    const [environment, overrides] = restricted('im-messages')
    const store = messages.create(
      messages.readConfig({
        ...testEnvironment('IM_MESSAGES', nats.server),
        ...environment,
        CARILLON_HOME: folder,
      }),
      overrides,
    )
    await store.start()
    await ready(store)
    const [gatewayEnvironment, gatewayOverrides] = restricted('im-gateway')
    const gateway = imGateway.create(
      imGateway.readConfig({ ...testEnvironment('IM', nats.server), ...gatewayEnvironment }),
      gatewayOverrides,
    )
    await gateway.start()
    await ready(gateway)
    const publisher = await nats.connect('im-publisher')
    const received: string[] = []
    publisher.subscribe(im.online, {}, ({ params }) => received.push(`online ${params.userId}`))
    publisher.subscribe(im.offline, {}, ({ params }) => received.push(`offline ${params.userId}`))
    publisher.subscribe(im.offlinePush, {}, ({ params }) => received.push(`push ${params.userId}`))
    publisher.serve(im.custom, { method: 'add' }, () => new Reply(Buffer.from('3'), { 'Carillon-Code': '0' }))
    await publisher.roundTrip()
    const members = { convId: 'group:hall', members: ['ann', 'bob', 'eve'] }
    expect(await publisher.request(im.convPut, {}, members, { timeoutMs: 12_000 })).toMatchObject({
      error_code: 0,
    })
    const ann = await ImClient.connect(gateway.listener.port, 'ann')
    const bob = await ImClient.connect(gateway.listener.port, 'bob')
    ends.push(
      () => ann.close(),
      () => bob.close(),
    )
    await ann.send('group:hall', 'hello', {
      options: { storageForServer: true, offlinePush: true },
      offlinePush: { title: 't', content: 'c', payload: '' },
    })
    await eventually(() => bob.textsOf('group:hall').includes('hello'), 20_000)
    await eventually(() => received.includes('push eve'), 20_000)
    const notice = { convId: 'notice:system', title: 'n', contentType: 1, content: '', options: {} }
    await publisher.request(im.noticeSend, {}, { userIds: ['bob'], notice }, { timeoutMs: 12_000 })
    await eventually(() => bob.notices.length > 0, 20_000)
    bob.close()
    await eventually(() => received.includes('offline bob') && received.includes('online ann'), 20_000)
  }, 180_000)

  test('the console: it looks, acts, and records', async () => {
    const [environment, overrides] = restricted('console')
    const looked = await bootConsole(nats.server, environment, overrides)
    await ready(looked)
    const service = await bootAuction(nats.server, ...restricted('auction-push'))
    await ready(service)
    const campusService = await bootCampus(nats.server, ...restricted('campus-socketio'))
    await ready(campusService)
    const browser = await Browser.signedIn(looked)
    const tab = await browser.live()
    ends.push(() => tab.close())
    await eventually(() => Object.hasOwn(tab.last('snapshot')?.services ?? {}, 'auction-push'))
    const bid = { amount: 7, nickName: 'Ann', avatar: '', userId: 1, auctionId: 1 }
    const publish = { channel: 'auction.bid', params: { auctionId: '1' }, payload: bid }
    const answers = [
      await browser.get('/api/connections?user_id=1'),
      await browser.get('/api/followers?service=auction-push&topic=x'),
      await browser.get('/api/settings'),
      await browser.send('POST', '/api/disconnect', { user_id: '1' }),
      await browser.send('PUT', '/api/settings', { key: 'auction-push.max_connections', value: 5 }),
      await browser.send('PUT', '/api/settings', { key: 'auction-push.max_connections', value: null }),
      await browser.send('POST', '/api/publish', publish),
      await browser.send('POST', '/api/try', { service: 'campus', user_id: 'AC7' }),
      await browser.get('/api/devices?serial_no=AC7'),
      await browser.get('/api/audit'),
    ]
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(answers.at(-1)?.body.entries.length).toBeGreaterThan(8)
  })

  test('campus-socketio, two instances', async () => {
    const [environment, overrides] = restricted('campus-socketio')
    const one = await bootCampus(nats.server, environment, overrides)
    await ready(one)
    const two = await bootCampus(nats.server, environment, overrides)
    await ready(two)
    const publisher = await nats.connect('campus-publisher')
    const acks: string[] = []
    publisher.subscribe(campus.ack, {}, ({ params }) => acks.push(params.event))
    await registerDevice(publisher, 'AC1')
    await publisher.publishStored(
      campus.outbox,
      { serialNo: 'AC1', event: 'bind_school' },
      { id: 1, name: 's' },
    )
    const first = await TestDevice.connect(one, 'AC1')
    await first.gets('bind_school')
    await eventually(() => acks.includes('bind_school'))
    await eventually(async () => {
      const state = await publisher.request(campus.device_state, {}, { serial_no: 'AC1' })
      return (state.pending ?? []).length === 0
    }, 20_000)
    expect(
      await publisher.request(campus.device, { serialNo: 'AC1', event: 'restart_device' }, { restart: true }),
    ).toMatchObject({ response: { ack: true } })
    // The other instance takes the device over.
    const second = await TestDevice.connect(two, 'AC1')
    await second.join('hall')
    await publisher.publish(campus.room, { room: 'hall', event: 'memos_update' }, { memo_id: 1 })
    await second.says('memos_update')
    second.close()
    expect(await publisher.request(campus.device_delete, {}, { serial_no: 'AC1' })).toMatchObject({
      error_code: 0,
    })
    first.close()
  }, 120_000)
})

describe('one step outside is refused', () => {
  const matches = (allowed: string, subject: string): boolean => {
    const [tokens, parts] = [allowed.split('.'), subject.split('.')]
    const rest = tokens.indexOf('>')
    if (rest >= 0 ? parts.length <= rest : parts.length !== tokens.length) return false
    return tokens.every((token, i) => token === '>' || token === '*' || token === parts[i])
  }
  const concrete = (subject: string) => subject.replaceAll('*', 'x').replaceAll('>', 'x')
  const everything = (kind: 'publish' | 'subscribe') => [
    ...new Set(natsUsers.flatMap((user) => user[kind])),
    ...['$JS.API.STREAM.DELETE.AUCTION', '$JS.API.STREAM.PURGE.AUCTION', '$JS.API.STREAM.LIST', 'foreign.x'],
    ...['$SYS.REQ.SERVER.PING', '_INBOX.x', '>'],
  ]

  test.each(natsUsers.map((user) => [user.name, user] as const))('%s', async (name, user) => {
    const foreign = (kind: 'publish' | 'subscribe') =>
      everything(kind)
        .map(concrete)
        .filter((subject) => !user[kind].some((allowed) => matches(allowed, subject)))
    const publish = foreign('publish')
    const subscribe = [...foreign('subscribe'), '>', '$JS.>', '$KV.>', '_INBOX.>']
    expect(publish.length).toBeGreaterThan(60)
    const errors = await nats.errors(name, [
      ...publish.map((subject) => `PUB ${subject} 2\r\n{}\r\n`),
      ...subscribe.map((subject, i) => `SUB ${subject} ${i + 1}\r\n`),
    ])
    const refused = (kind: string, subject: string) =>
      errors.some((error) => error === `Permissions Violation for ${kind} to "${subject}"`)
    expect(publish.filter((subject) => !refused('Publish', subject))).toEqual([])
    expect(subscribe.filter((subject) => !refused('Subscription', subject))).toEqual([])
  })

  test('an own subject is not refused, so that the check can tell', async () => {
    for (const { name, publish, subscribe } of natsUsers) {
      const commands = [
        ...publish.slice(0, 3).map((subject) => `PUB ${concrete(subject)} 0\r\n\r\n`),
        ...subscribe.map((subject, i) => `SUB ${subject} ${i + 1}\r\n`),
      ]
      expect([name, await nats.errors(name, commands)]).toEqual([name, []])
    }
  })

  test('without the right password nobody connects', async () => {
    for (const user of ['nobody', 'auction-push'])
      expect(await nats.errors(user, [], 'guessed')).toEqual(['Authorization Violation'])
  })
})
