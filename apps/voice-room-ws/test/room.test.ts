import { Bus } from '@carillon/bus'
import { type VoiceEvicted, voice } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { bootVoice, VoiceClient, type VoiceRoomWs } from './voice.ts'

let nats: NatsServer
let bus: Bus
let one: VoiceRoomWs
let two: VoiceRoomWs
const clients: VoiceClient[] = []
let evicted: VoiceEvicted[]
let unconfirmed: unknown[]

beforeEach(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  evicted = []
  unconfirmed = []
  bus.subscribe(voice.evicted, {}, ({ payload }) => evicted.push(payload))
  bus.subscribe(voice.unconfirmed, {}, ({ payload }) => unconfirmed.push(payload))
  ;[one, two] = await Promise.all([bootVoice(nats), bootVoice(nats)])
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.kill()
  await Promise.all([one?.stop(), two?.stop()])
  await bus?.stop()
  await nats?.stop()
})

const connect = async (service: VoiceRoomWs, userId: string) => {
  const client = await VoiceClient.connect(service, userId)
  clients.push(client)
  return client
}
const publish = (channelName: string, action: string, body: object) =>
  bus.request(voice.room, { channelName, action }, body as never, { timeoutMs: 10_000 })
const tell = (channelName: string, action: string, body: object) =>
  bus.publish(voice.room, { channelName, action }, body as never)
const roomState = (channel_name: string) => bus.request(voice.room_state, {}, { channel_name })
const userState = (user_id: string) => bus.request(voice.user_state, {}, { user_id })
/** Puts users into the room, quietly. */
const inRoom = async (channelName: string, ...userIds: (string | number)[]) => {
  const header = { headers: { 'Carillon-Delivery': 'broadcast' } }
  for (const user_id of userIds)
    bus.publish(voice.room, { channelName, action: 'enter_room' }, { user_id } as never, header)
  await eventually(async () => (await roomState(channelName)).member_count === userIds.length)
}

test('a notice goes to one member, and is confirmed by its report', async () => {
  const [a, b] = [await connect(one, '1'), await connect(two, '2')]
  await inRoom('r', 1, 2)
  const asked = publish('r', 'send_topic_msg', { user_id: 1, nickname: 'Ann', content: 'hello' })
  await eventually(() => b.notices('send_topic_msg').length === 1)
  expect(b.notices('send_topic_msg')).toEqual([
    { action: 'send_topic_msg', user_id: 1, nickname: 'Ann', content: 'hello', channel_name: 'r' },
  ])
  b.report('send_topic_msg_report', 1)
  expect(await asked).toEqual({ delivered: true, relay_user_id: '2', confirmed: true })
  expect(a.notices('send_topic_msg')).toEqual([])
})

test('A is gone: B is told with the seat; B is gone before it reports: C is told; C reports: nobody is told again', async () => {
  const a = await connect(one, 'A')
  const b = await connect(two, 'B')
  await inRoom('room', 'A', 'B')
  const seat = { user_id: 'A', id: 3, status: 1, microphone: 0, rank: 1, room_id: 9 }
  const up = publish('room', 'up', { room_seat: seat })
  await eventually(() => b.notices('up').length === 1)
  b.report('up_deport', 'A')
  expect((await up).confirmed).toBe(true)
  a.kill()
  await eventually(() => b.notices('exit_room').length === 1)
  expect(b.notices('exit_room')).toEqual([
    {
      action: 'exit_room',
      user_id: 'A',
      channel_name: 'room',
      room_seat: { id: 3, status: 1, microphone: 0 },
    },
  ])
  const c = await connect(one, 'C')
  tell('room', 'enter_room', { user_id: 'C' })
  await eventually(async () => (await userState('C')).channel_name === 'room')
  b.kill()
  await eventually(() => c.notices('exit_room').length === 2)
  expect(
    c
      .notices('exit_room')
      .map(({ user_id }) => user_id)
      .sort(),
  ).toEqual(['A', 'B'])
  c.report('exit_room_report', 'A')
  c.report('exit_room_report', 'B')
  await eventually(() => one.relays.open + two.relays.open === 0)
  expect(evicted.map(({ user_id, reason }) => [user_id, reason]).sort()).toEqual([
    ['A', 'closed'],
    ['B', 'closed'],
  ])
  expect(evicted.find(({ user_id }) => user_id === 'A')).toMatchObject({
    channel_name: 'room',
    room_seat: { id: 3, status: 1, microphone: 0 },
    call: null,
  })
  expect((await roomState('room')).members).toEqual([{ user_id: 'C', online: true, room_seat: null }])
})

describe('replacement', () => {
  test('by a connection to another instance, and to the same: never an eviction', async () => {
    const a = await connect(one, 'A')
    await inRoom('r', 'A')
    const second = await connect(two, 'A')
    expect(await a.socket.end()).toMatchObject({ code: 4409 })
    const third = await connect(two, 'A')
    expect(await second.socket.end()).toMatchObject({ code: 4409 })
    expect(await userState('A')).toMatchObject({ online: true, channel_name: 'r' })
    third.ping()
    expect(evicted).toEqual([])
    third.kill()
    await eventually(() => evicted.length === 1)
  })
})
