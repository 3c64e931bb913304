import { DEVELOPMENT_SECRET, mintSid, signFrame } from '@carillon/auth'
import { voice } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  type ClientError,
  type Notice,
  signHmacSha256,
  VoiceRoomClient,
  type VoiceRoomOptions,
} from '../src/voice/index.ts'
import { signedFrame, signMd5 } from '../src/voice/sign.ts'
import { reportOf } from '../src/voice/voice.ts'
import { bootVoice, openNetwork, reconnect, urlOf, WebSocket } from './fleet.ts'

describe('signatures', () => {
  test('the documented frame', () => {
    const fields = { action: 'ping', online_token: '1fabc', sid: '110sabc', timestamp: 1523600000 }
    expect(JSON.parse(signedFrame(fields, signMd5)).sign).toBe('e89241f28fe301a3e2e6883993bb99c9')
  })

  test('any frame is signed as the service signs it', () => {
    const value = fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean(), fc.constant(null))
    const fields = fc
      .dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), value)
      .filter((each) => !('sign' in each))
    fc.assert(
      fc.property(fields, (each) => {
        const signOf = (frame: string) => JSON.parse(frame).sign
        const md5 = signFrame(each, { method: 'md5', secret: '' })
        expect(signOf(signedFrame(each, signMd5))).toBe(signOf(md5))
        const hmac = signFrame(each, { method: 'hmac-sha256', secret: 'geheim' })
        expect(signOf(signedFrame(each, signHmacSha256('geheim')))).toBe(signOf(hmac))
      }),
    )
  })
})

test('the report of a notice names whom it is about', () => {
  expect(reportOf({ action: 'up', room_seat: { user_id: 7, id: 1 } })).toEqual({
    action: 'up_deport',
    userId: '7',
  })
  expect(reportOf({ action: 'send_gift', gift: null })).toEqual({ action: 'send_gift_report', userId: '0' })
  expect(reportOf({ action: 'room_notice' })).toBeUndefined()
  expect(reportOf({ action: 'constructor' })).toBeUndefined()
})

describe('a room', () => {
  let nats: NatsServer
  let service: Awaited<ReturnType<typeof bootVoice>>
  const cleanups: (() => unknown)[] = []
  beforeAll(async () => {
    nats = await NatsServer.start()
    service = await bootVoice(nats, { VOICE_PING_INTERVAL_S: '1', VOICE_RELAY_TIMEOUT_MS: '2000' })
  })
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  })
  afterAll(async () => {
    await service.stop()
    await nats.stop()
  })

  const sidOf = (userId: string, ttlS = 3_600) =>
    mintSid(DEVELOPMENT_SECRET, userId, Math.floor(Date.now() / 1_000) + ttlS)

  function memberOf(userId: string, options: Partial<VoiceRoomOptions> = {}) {
    const endpoint = urlOf(service.listener.port)
    const client = new VoiceRoomClient({
      endpoint,
      sid: () => sidOf(userId),
      WebSocket,
      reconnect,
      ...options,
    })
    cleanups.push(() => client.close())
    const errors: ClientError[] = []
    const sent: { action: string }[] = []
    client.on('error', (error) => errors.push(error))
    client.on('frame', ({ direction, data }) => direction === 'out' && sent.push(JSON.parse(String(data))))
    return Object.assign(client, { errors, sent })
  }
  const publish = (channelName: string, action: 'enter_room' | 'send_topic_msg', body: object) =>
    service.bus.request(voice.room, { channelName, action }, body as never, { timeoutMs: 60_000 })

  test('a relay is reported when the application has passed it on, and the publisher hears of it', async () => {
    const relayed: Notice[] = []
    const member = memberOf('11', { relay: (notice) => void relayed.push(notice) })
    const notices = member.notices()
    await member.connect()
    await publish('r1', 'enter_room', { user_id: 11 })
    const answer = await publish('r1', 'send_topic_msg', { user_id: 12, content: 'hello' })
    expect(answer).toMatchObject({ delivered: true, relay_user_id: '11', confirmed: true })
    expect(relayed).toMatchObject([{ action: 'send_topic_msg', content: 'hello', channel_name: 'r1' }])
    expect((await notices.next()).value).toEqual(relayed[0])
    expect(member.errors).toEqual([])
  })

  test('a relay that fails is not reported: another member gets it', async () => {
    let failures = 0
    const relay = () => {
      failures += 1
      throw new Error('the channel is away')
    }
    const [failing, other] = [memberOf('21', { relay }), memberOf('22', { relay: () => {} })]
    await failing.connect()
    await other.connect()
    for (const id of [21, 22]) await publish('r2', 'enter_room', { user_id: id })
    await eventually(async () => {
      const answer = await publish('r2', 'send_topic_msg', { user_id: 23, content: 'hello' })
      expect(answer).toMatchObject({ relay_user_id: '22', confirmed: true })
      return failures > 0
    }, 80_000)
    expect(failing.errors.map(({ code }) => code)).toContain('relay_failed')
  })

  test('it pings as often as it is told', async () => {
    const member = memberOf('31')
    await member.connect()
    await eventually(() => member.sent.filter(({ action }) => action === 'ping').length > 3)
    expect(member.errors).toEqual([])
  })

  test('a cut network: the next connection has an online_token of its own, by which it signs', async () => {
    const network = await openNetwork(service.listener.port)
    cleanups.push(() => network.close())
    const member = memberOf('41', { endpoint: network.webSocketUrl })
    await member.connect()
    network.cut()
    await eventually(() => member.state.type !== 'open')
    network.restore()
    await eventually(() => member.state.type === 'open')
    const tokens = () =>
      new Set(member.sent.map((frame) => (frame as { online_token?: string }).online_token))
    await eventually(() => tokens().size === 2)
    member.report('down_report', 1, 'elsewhere')
    await eventually(() => member.errors.some(({ message }) => message.includes('not in that room')))
    expect(member.errors.some(({ message }) => /sign|token/.test(message))).toBe(false)
  })

  test('a sid that is refused (4401), and a newer connection (4409), are final', async () => {
    const refused = memberOf('51', { sid: () => sidOf('51', -10) })
    await expect(refused.connect()).rejects.toMatchObject({ code: 'closed' })
    expect(refused.state).toMatchObject({ type: 'closed', close: { code: 4401 } })
    expect(refused.errors).toMatchObject([{ code: 'refused', message: expect.stringContaining('expired') }])

    const [older, newer] = [memberOf('52'), memberOf('52')]
    await older.connect()
    await newer.connect()
    await eventually(() => older.state.type === 'closed')
    expect(older.state).toMatchObject({ close: { code: 4409 } })
    expect(newer.state.type).toBe('open')
  })

  test('a sid that expires while the connection is open: the next connection has a new one', async () => {
    const lifetimesS = [3, 3_600]
    const member = memberOf('61', { sid: () => sidOf('61', lifetimesS.shift() ?? 3_600) })
    await member.connect()
    await eventually(() => member.errors.some(({ message }) => message.startsWith('sid has expired')))
    await eventually(() => member.state.type === 'open' && lifetimesS.length === 0)
  })
})
