import { Bus } from '@carillon/bus'
import {
  bucketKey,
  type VoiceEvicted,
  voice,
  voiceEventsStream,
  voiceLeases,
  voiceUsers,
} from '@carillon/events'
import { eventually, NatsLink, NatsServer, publishRaw } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { bootVoice, VoiceClient, type VoiceRoomWs } from './voice.ts'

let nats: NatsServer
let bus: Bus
const services: VoiceRoomWs[] = []
const clients: VoiceClient[] = []
let evicted: VoiceEvicted[]
let sessions: { kind: 'online' | 'offline'; user_id: string; reason: string; instance_id: string }[]

beforeEach(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  evicted = []
  sessions = []
  bus.subscribe(voice.evicted, {}, ({ payload }) => evicted.push(payload))
  for (const kind of ['online', 'offline'] as const)
    bus.subscribe(voice[kind], {}, ({ payload }) => sessions.push({ kind, ...payload }))
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.kill()
  await Promise.all(services.splice(0).map((service) => service.stop()))
  await bus?.stop()
  await nats?.stop()
})

const boot = async (environment: Record<string, string> = {}) => {
  const service = await bootVoice(nats, environment)
  services.push(service)
  return service
}
const connect = async (service: VoiceRoomWs, userId: string) => {
  const client = await VoiceClient.connect(service, userId)
  clients.push(client)
  return client
}
const user = (user_id: string) => bus.request(voice.user_state, {}, { user_id }, { timeoutMs: 5_000 })
const enter = async (channelName: string, ...userIds: string[]) => {
  const options = { headers: { 'Carillon-Delivery': 'broadcast' } }
  for (const user_id of userIds)
    bus.publish(voice.room, { channelName, action: 'enter_room' }, { user_id }, options)
  await eventually(async () => {
    const states = await Promise.all(userIds.map(user))
    return states.every(({ channel_name }) => channel_name === channelName)
  })
}
const sessionsOf = (userId: string, kind: 'online' | 'offline') =>
  sessions.filter((each) => each.user_id === userId && each.kind === kind)
const stored = (userId: string) =>
  bus
    .stream(voiceEventsStream)
    .counts(voice.evicted.subject({ userId }))
    .then((counts) => [...counts.values()][0] ?? 0)

test('silence is the end of a connection: 4408, and an eviction; pings keep it', async () => {
  const service = await boot({ VOICE_HEARTBEAT_TIMEOUT_MS: '1000' })
  const [quiet, lively] = [await connect(service, 'A'), await connect(service, 'B')]
  await enter('r', 'A', 'B')
  const pinging = setInterval(() => lively.ping(), 200)
  try {
    expect(await quiet.socket.end()).toEqual({ code: 4408, reason: 'heartbeat timeout' })
    await eventually(() => evicted.length === 1)
    expect(evicted[0]).toMatchObject({ user_id: 'A', channel_name: 'r', reason: 'heartbeat_timeout' })
    await eventually(() => lively.notices('exit_room').length === 1)
    expect((await user('B')).online).toBe(true)
  } finally {
    clearInterval(pinging)
  }
})

describe('coming back', () => {
  test('within the exit grace, to another instance: no eviction; not at all: one', async () => {
    const grace = { VOICE_EXIT_GRACE_MS: '1500' }
    const [one, two] = [await boot(grace), await boot(grace)]
    const a = await connect(one, 'A')
    await enter('r', 'A')
    a.kill()
    await eventually(async () => !(await user('A')).online)
    expect(await user('A')).toMatchObject({ channel_name: 'r' })
    const again = await connect(two, 'A')
    expect(await user('A')).toMatchObject({ online: true, channel_name: 'r' })
    expect(evicted).toEqual([])
    again.kill()
    await eventually(() => evicted.length === 1, 15_000)
    expect(await stored('A')).toBe(1)
  })

  test('before the old connection’s end is noticed, to the same instance and to another one', async () => {
    const [one, two] = [await boot(), await boot()]
    const first = await connect(one, 'A')
    await enter('r', 'A')
    const second = await connect(one, 'A')
    await first.socket.end()
    const third = await connect(two, 'A')
    await second.socket.end()
    expect(await user('A')).toMatchObject({ online: true, channel_name: 'r' })
    expect(evicted).toEqual([])
    third.ping()
  })
})

test('internal services are told who comes, is replaced, and goes', async () => {
  const [one, two] = [await boot(), await boot()]
  await connect(one, 'A')
  const second = await connect(two, 'A')
  second.kill()
  await eventually(() => sessionsOf('A', 'offline').length === 1)
  expect(sessions).toMatchObject([
    { kind: 'online', user_id: 'A', reason: 'connected', instance_id: one.instanceId },
    { kind: 'online', user_id: 'A', reason: 'replaced', instance_id: two.instanceId },
    { kind: 'offline', user_id: 'A', reason: 'closed', instance_id: two.instanceId },
  ])
})

test('a record that somebody has overwritten holds up nobody else', async () => {
  const service = await boot()
  const [a, b] = [await connect(service, 'A'), await connect(service, 'B')]
  await enter('r', 'A', 'B')
  await publishRaw(nats.port, `$KV.${voiceUsers.name}.A`, '{"user_id":7}')
  a.kill()
  await eventually(() => service.listener.connections.size === 1)
  b.kill()
  await eventually(() => evicted.length === 2)
  // What was known of the one whose record was overwritten holds.
  expect(evicted.map(({ user_id, channel_name }) => [user_id, channel_name]).sort()).toEqual([
    ['A', 'r'],
    ['B', 'r'],
  ])
  await connect(service, 'A')
  await eventually(async () => (await user('A')).online)
})

test('a lease that somebody has overwritten is given up: its users come back, and evictions go on', async () => {
  const [one, two] = [await boot(), await boot()]
  const [a, b] = [await connect(one, 'A'), await connect(two, 'B')]
  await enter('r', 'A', 'B')
  const before = one.leases.own
  await publishRaw(nats.port, `$KV.${voiceLeases.name}.${bucketKey(before)}`, '{"renewed":"often"}')
  expect(await a.socket.end()).toEqual({ code: 1012, reason: 'service restart' })
  expect(one.leases.own).not.toBe(before)
  await connect(one, 'A')
  await eventually(async () => (await user('A')).online)
  // The other instance takes the lease, although it cannot be read, and sees to everybody else.
  b.kill()
  await eventually(() => evicted.length === 1)
  const leases = bus.bucket(voiceLeases)
  await eventually(async () => !(await leases.keys()).includes(bucketKey(before)), 20_000)
  expect(evicted.map(({ user_id }) => user_id)).toEqual(['B'])
  expect(await user('A')).toMatchObject({ online: true, channel_name: 'r' })
})

test('what a member reports while NATS is away is published afterwards, in order', async () => {
  const link = await NatsLink.open(nats.port)
  const service = await boot({ NATS_URL: link.url })
  const a = await connect(service, 'A')
  await enter('r', 'A')
  const reported: unknown[] = []
  bus.subscribe(voice.report, {}, ({ payload }) => reported.push(payload))
  await bus.roundTrip()
  link.cut()
  await eventually(() => !service.bus.connected)
  a.report('up_report', 5)
  await eventually(() => service.reports.waiting === 1)
  link.restore()
  await eventually(() => service.bus.connected)
  a.report('down_report', 6)
  await eventually(() => reported.length === 2)
  expect(reported).toMatchObject([
    { action: 'up_report', user_id: '5', reporter_id: 'A', channel_name: 'r' },
    { action: 'down_report', user_id: '6', reporter_id: 'A', channel_name: 'r' },
  ])
  await link.close()
})

test('two connections at the same moment: the one that loses comes back, and the user is not evicted', async () => {
  const link = await NatsLink.open(nats.port)
  const [one, two] = [await boot({ NATS_URL: link.url }), await boot()]
  await connect(two, 'B')
  await enter('r', 'A', 'B')
  // The older connection is stored after the newer one: its instance does not get through.
  link.silence()
  const older = VoiceClient.connect(one, 'A')
  await eventually(() => one.listener.connections.size === 1)
  const newer = await connect(two, 'A')
  link.resume()
  clients.push(await older)
  expect(await newer.socket.end()).toEqual({ code: 1012, reason: 'service restart' })
  ;(await older).kill()
  await eventually(async () => !(await user('A')).online)
  expect((await user('A')).channel_name).toBe('r')
  const again = await connect(two, 'A')
  await eventually(async () => (await user('A')).online)
  expect(await user('A')).toMatchObject({ channel_name: 'r' })
  expect(await stored('A')).toBe(0)
  // Some time later it is the user's as any other.
  again.ping()
  await link.close()
})

test('a drained instance hands its users over: who comes back stays, who does not is evicted once', async () => {
  const grace = { VOICE_HANDOVER_GRACE_MS: '2000' }
  const [one, two] = [await boot(grace), await boot(grace)]
  const a = await connect(one, 'A')
  const b = await connect(one, 'B')
  await connect(two, 'C')
  await enter('r', 'A', 'B', 'C')
  await one.stop()
  expect(await a.socket.end()).toMatchObject({ code: 1012 })
  expect(await b.socket.end()).toMatchObject({ code: 1012 })
  await connect(two, 'A')
  await eventually(() => evicted.length > 0, 20_000)
  expect(evicted.map(({ user_id }) => user_id)).toEqual(['B'])
  expect(sessionsOf('B', 'offline')).toMatchObject([{ reason: 'drained' }])
  expect(await user('A')).toMatchObject({ online: true, channel_name: 'r' })
})

test('who is put into a room without a connection is given time, and then evicted', async () => {
  await boot({ VOICE_HEARTBEAT_TIMEOUT_MS: '1000' })
  bus.publish(voice.room, { channelName: 'r', action: 'enter_room' }, { user_id: 5 })
  await eventually(async () => (await user('5')).channel_name === 'r')
  await eventually(() => evicted.length === 1)
  expect(evicted[0]).toMatchObject({ user_id: '5', reason: 'heartbeat_timeout' })
})

test('NATS goes and comes back: nobody connected is evicted; who left meanwhile is, once', async () => {
  const [one, two] = [await boot(), await boot()]
  const a = await connect(one, 'A')
  const b = await connect(two, 'B')
  const c = await connect(two, 'C')
  await enter('r', 'A', 'B', 'C')
  await nats.halt('SIGKILL')
  await eventually(() => !one.bus.connected && !two.bus.connected)
  b.kill()
  c.kill()
  // Comes back elsewhere while NATS is away: accepted, and stored later.
  const back = await connect(one, 'C')
  await nats.resume()
  await eventually(() => evicted.length > 0, 25_000)
  expect(evicted.map(({ user_id }) => user_id)).toEqual(['B'])
  await eventually(async () => (await user('C')).online)
  expect(await user('A')).toMatchObject({ online: true, channel_name: 'r' })
  expect(await user('C')).toMatchObject({ online: true, channel_name: 'r' })
  expect(await stored('B')).toBe(1)
  a.ping()
  back.ping()
  expect(a.socket.closed).toBeUndefined()
})

test('who connects again while NATS is away is stored later: the older connection ends, the newer one hears the room', async () => {
  const service = await boot()
  const older = await connect(service, 'A')
  await enter('r', 'A')
  await nats.halt('SIGKILL')
  await eventually(() => !service.bus.connected)
  const newer = await connect(service, 'A')
  await nats.resume()
  await eventually(() => service.bus.connected && bus.connected && service.leases.healthy, 20_000)
  expect(await older.socket.end()).toMatchObject({ code: 4409 })
  await eventually(() => {
    bus.publish(voice.room, { channelName: 'r', action: 'room_notice' }, { content: 'all hear this' })
    return newer.notices('room_notice').length > 0
  })
  expect(await user('A')).toMatchObject({ online: true, channel_name: 'r' })
  expect(evicted).toEqual([])
})

test('a connection that could not be stored does not take the place of one that was opened after it elsewhere', async () => {
  const link = await NatsLink.open(nats.port)
  try {
    const [cutOff, well] = [await boot({ NATS_URL: link.url }), await boot()]
    link.cut()
    await eventually(() => !cutOff.bus.connected)
    const older = await connect(cutOff, 'A')
    const newer = await connect(well, 'A')
    await enter('r', 'A')
    link.restore()
    // Its client, if there still is one, is asked to come back.
    expect(await older.socket.end()).toMatchObject({ code: 1012 })
    newer.ping()
    expect(await user('A')).toMatchObject({ online: true, channel_name: 'r' })
    expect(newer.socket.closed).toBeUndefined()
    expect(evicted).toEqual([])
  } finally {
    for (const service of services.splice(0)) await service.stop()
    await link.close()
  }
})

test('the end of a connection is stored although the instance stops right after it', async () => {
  const [one, two] = [await boot({ VOICE_HANDOVER_GRACE_MS: '0' }), await boot()]
  await connect(one, 'A')
  await connect(two, 'B')
  await enter('r', 'A', 'B')
  await one.stop()
  await eventually(() => evicted.length === 1)
  expect(await stored('A')).toBe(1)
})
