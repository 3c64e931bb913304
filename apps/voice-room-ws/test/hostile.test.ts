import { DEVELOPMENT_SECRET, mintSid, signFrame } from '@carillon/auth'
import { Bus } from '@carillon/bus'
import { voice } from '@carillon/events'
import { eventually, NatsServer, WebSocketClient } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { readConfig } from '../src/server.ts'
import { bootVoice, sidOf, VoiceClient, type VoiceRoomWs } from './voice.ts'

let nats: NatsServer
let bus: Bus
let service: VoiceRoomWs
const clients: { kill(): void }[] = []

beforeAll(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  service = await bootVoice(nats, { VOICE_TIMESTAMP_SKEW_S: '60' })
})
afterEach(() => {
  for (const client of clients.splice(0)) client.kill()
})
afterAll(async () => {
  await service?.stop()
  await bus?.stop()
  await nats?.stop()
})

const connect = async (userId: string) => {
  const client = await VoiceClient.connect(service, userId)
  clients.push(client)
  return client
}
const errors = (client: VoiceClient) => client.notices('error').map(({ error_reason }) => error_reason)

test.each([
  ['no sid', '/', 'sid: missing'],
  ['an empty one', '/?sid=', 'sid: missing'],
  ['two', `/?sid=a&sid=b`, 'sid: missing'],
  ['nonsense', '/?sid=110sabc', 'sid: malformed'],
  ['another secret', `/?sid=${mintSid('x', '1', 9_999_999_999)}`, 'sid: bad signature'],
  ['an expired one', `/?sid=${sidOf('1', -1)}`, 'sid: expired'],
])('%s: told why, then closed with 4401', async (_name, path, reason) => {
  const client = await WebSocketClient.connect(`ws://127.0.0.1:${service.listener.port}${path}`)
  expect(await client.nextJson()).toEqual({ action: 'create_token', error_code: -1, error_reason: reason })
  expect(await client.end()).toEqual({ code: 4401, reason: 'sid refused' })
})

test('frames that are not signed by this connection have no effect; the third in a row closes', async () => {
  const client = await connect('1')
  const other = await connect('2')
  const now = Math.floor(Date.now() / 1_000)
  const md5 = { method: 'md5', secret: '' } as const
  client.socket.send(client.frame({ action: 'ping' }).replace('"sign":"', '"sign":"0'))
  client.socket.send(client.frame({ action: 'ping', online_token: other.onlineToken }))
  client.ping()
  client.socket.send(client.frame({ action: 'ping', sid: other.sid }))
  client.socket.send(client.frame({ action: 'dance' }))
  client.socket.send(
    signFrame(
      { action: 'ping', online_token: client.onlineToken, sid: client.sid, timestamp: now - 120 },
      md5,
    ),
  )
  expect(await client.socket.end()).toEqual({ code: 4403, reason: 'three refused frames' })
  expect(errors(client)).toEqual([
    'sign is not valid',
    'online_token is not that of this connection',
    'sid is not that of this connection',
    'action is unknown',
    'timestamp is too far from the time, or older than one before',
  ])
  expect(client.notices('error')[3]).toMatchObject({ error_code: -1, request_action: 'dance' })
})

test('an object or a list that a later value of the same name hides is refused like any other', async () => {
  const client = await connect('1')
  client.socket.send('{"a":{"b":1},"a":1,"action":"ping"}')
  client.socket.send('{"a":[1,2],"a":1,"action":"ping"}')
  await eventually(() => errors(client).length === 2)
  const refused = 'the frame must be a JSON object of texts, numbers and booleans'
  expect(errors(client)).toEqual([refused, refused])
  expect(client.socket.closed).toBeUndefined()
})

test('a replayed frame is refused, and a report from outside of any room', async () => {
  const client = await connect('1')
  const old = client.frame({ action: 'ping', timestamp: Math.floor(Date.now() / 1_000) - 5 })
  client.socket.send(old)
  client.ping()
  client.socket.send(old)
  client.report('exit_room_report', 2)
  await eventually(() => errors(client).length === 2)
  expect(errors(client)).toEqual([
    'timestamp is too far from the time, or older than one before',
    'the reporter is not in that room',
  ])
})

test('frames that are too large, binary or too many get an error first', async () => {
  const client = await connect('1')
  client.socket.send('x'.repeat(20_000))
  client.socket.send(Buffer.from('{}'))
  await eventually(() => errors(client).length === 2)
  expect(errors(client)).toEqual(['a frame may have 16384 bytes', 'frames must be text'])
  const flood = await connect('2')
  for (let i = 0; i < 100; i++) flood.ping()
  expect(await flood.socket.end()).toMatchObject({ code: 4429 })
  expect(errors(flood)).toContain('at most 20 frames a second')
})

test('a sid that expires while the connection is open is refused frame by frame', async () => {
  const sid = mintSid(DEVELOPMENT_SECRET, '3', Math.floor(Date.now() / 1_000) + 2)
  const client = await VoiceClient.connect(service, '3', sid)
  clients.push(client)
  const pinging = setInterval(() => client.ping(), 200)
  try {
    expect(await client.socket.end()).toEqual({ code: 4403, reason: 'three refused frames' })
  } finally {
    clearInterval(pinging)
  }
  expect(errors(client)).toEqual(Array(3).fill('sid has expired'))
})

test('ids of any script and length', async () => {
  for (const userId of [
    '*',
    '>',
    'a.b',
    '%',
    '用户',
    '\u0000',
    'é'.repeat(128),
    'x'.repeat(256),
    '__proto__',
  ]) {
    const client = await connect(userId)
    bus.publish(voice.room, { channelName: userId, action: 'enter_room' }, { user_id: userId })
    await eventually(async () => {
      const { members } = await bus.request(voice.room_state, {}, { channel_name: userId })
      return members.length === 1 && members[0]?.user_id === userId && members[0].online
    })
    client.report('enter_room_report', userId)
    client.ping()
    expect(errors(client)).toEqual([])
  }
})

test('sids can be verified over NATS', async () => {
  const other = await bootVoice(nats, { VOICE_SID_VERIFIER: 'nats' })
  const url = `ws://127.0.0.1:${other.listener.port}/?sid=secret`
  try {
    const early = await WebSocketClient.connect(url)
    expect(await early.nextJson()).toMatchObject({
      error_code: -1,
      error_reason: 'sid: verifier unavailable',
    })
    expect(await early.end()).toMatchObject({ code: 1013 })
    const serving = bus.serve(voice.verify, {}, ({ payload: { sid } }) =>
      sid === 'secret' ? { error_code: 0, user_id: 42 } : { error_code: -1 },
    )
    await bus.roundTrip()
    const client = await WebSocketClient.connect(url)
    clients.push({ kill: () => client.close() })
    expect(await client.nextJson()).toMatchObject({ action: 'create_token', ping_interval: 15 })
    expect((await bus.request(voice.user_state, {}, { user_id: 42 })).online).toBe(true)
    const wrong = await WebSocketClient.connect(url.replace('secret', 'other'))
    expect(await wrong.nextJson()).toMatchObject({ error_code: -1, error_reason: 'sid: refused' })
    serving.unsubscribe()
  } finally {
    await other.stop()
  }
})

test('the environment is checked', () => {
  const problems = (environment: Record<string, string>) => {
    try {
      readConfig(environment)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  expect(problems({})).toBe('')
  expect(problems({ VOICE_SIGN: 'hmac-sha256' })).toContain('VOICE_SIGN_SECRET is required')
  expect(problems({ VOICE_SIGN: 'sha1', VOICE_RELAY_TIMEOUT_MS: 'soon' })).toMatch(
    /VOICE_SIGN .*\n.*VOICE_RELAY_TIMEOUT_MS/,
  )
  expect(problems({ NODE_ENV: 'production' })).toContain('VOICE_SID_SECRET is required in production')
  expect(problems({ NODE_ENV: 'production', VOICE_SID_SECRET: DEVELOPMENT_SECRET })).toContain('development')
  expect(problems({ NODE_ENV: 'production', VOICE_SID_VERIFIER: 'nats' })).not.toContain('SID_SECRET')
})
