import { Bus } from '@carillon/bus'
import { type VoiceUserRecord, voice, voiceRooms, voiceUsers } from '@carillon/events'
import { systemClock as clock } from '@carillon/service'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Capacity } from '../src/capacity.ts'
import { Directory } from '../src/directory.ts'
import { Evictions } from '../src/evictions.ts'
import { Records } from '../src/records.ts'
import { newRoom } from '../src/room.ts'
import { RoomEvents } from '../src/room-events.ts'
import { connect, enter, evict, newUser } from '../src/user.ts'
import { bootVoice, type VoiceRoomWs } from './voice.ts'

/** The parts that change what is stored, on a real NATS server, without a service around them. */
let nats: NatsServer
let bus: Bus
let service: VoiceRoomWs
const directory = new Directory()
const looked = new Set<string>()
let users: Records<VoiceUserRecord>
let rooms: Records<ReturnType<typeof newRoom>>

beforeAll(async () => {
  nats = await NatsServer.start()
  // Makes the streams.
  service = await bootVoice(nats, {
    VOICE_MAX_ROOM_MEMBERS: '2',
    // Nobody here has a connection, and nobody is to be evicted for it.
    VOICE_HEARTBEAT_TIMEOUT_MS: '600000',
  })
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  users = new Records({
    bucket: bus.bucket(voiceUsers),
    make: newUser,
    known: (id) => {
      looked.add(id)
      return directory.get(id)
    },
    learned: (id, record, revision) => directory.apply(id, record, revision),
  })
  rooms = new Records({ bucket: bus.bucket(voiceRooms), make: newRoom })
})
afterAll(async () => {
  await service?.stop()
  await bus?.stop()
  await nats?.stop()
})

const version = (sequence: number) => ({ epoch: 1, sequence })
const absent = { graceMs: 60_000, nowMs: 1 }
const enters = (userId: string, channelName: string, sequence: number) =>
  users.change(userId, (record) => enter(record, channelName, userId, version(sequence), absent))

test('whoever finishes an eviction that was told long ago, and another one since, tells nothing', async () => {
  const told: string[] = []
  const subscription = bus.subscribe(voice.evicted, {}, ({ payload }) => told.push(payload.channel_name))
  const evictions = new Evictions({ bus, clock, users, rooms, evicted: () => {} })
  const decided = async (channelName: string, epoch: number) => {
    const session = { lease: 'l', connection: channelName, at: 1 }
    await users.change('A', (record) => connect(record, session))
    await users.change('A', (record) => enter(record, channelName, 'A', { epoch, sequence: 1 }, absent))
    const notes: NonNullable<VoiceUserRecord['eviction']>[] = []
    directory.onChange((_id, _before, after) => after?.eviction && notes.push(after.eviction))
    await evictions.evict('A', 'closed', () => true)
    return notes[0] as NonNullable<VoiceUserRecord['eviction']>
  }
  const first = await decided('one', Date.now() + 1_000)
  await decided('two', Date.now() + 100_000)
  // The instance that decided the first one was suspended before it could tell, and wakes.
  await evictions.finish('A', first)
  await bus.roundTrip()
  await eventually(() => told.length >= 2)
  expect(told).toEqual(['one', 'two'])
  subscription.unsubscribe()
})

test('the end of a connection that is not the user’s leaves another one’s eviction to be told by whoever decided it', async () => {
  const told: string[] = []
  const subscription = bus.subscribe(voice.evicted, {}, ({ payload }) => told.push(payload.user_id))
  const evictions = new Evictions({ bus, clock, users, rooms, evicted: () => {} })
  const at = { epoch: Date.now() + 200_000, sequence: 1 }
  await users.change('P', (record) => enter(record, 'r', 'P', at, absent))
  // Decided a moment ago, by an instance that is about to tell.
  await users.change('P', (record, revision) => evict(record, 'closed', at, revision, Date.now()))
  expect(await evictions.evict('P', 'closed', ({ session }) => session?.connection === 'x')).toBeUndefined()
  await bus.roundTrip()
  expect(told).toEqual([])
  expect((await users.read('P')).record.eviction).not.toBeNull()
  subscription.unsubscribe()
})

test('the end of a call does not look at everybody in a room of its name', async () => {
  const members = Array.from({ length: 50 }, (_, i) => `m${i}`)
  for (const [i, id] of members.entries()) await enters(id, 'r', i + 1)
  const capacity = new Capacity(directory, { roomMembersMax: 100, usersMax: 1_000 }, () => {})
  const events = new RoomEvents({ clock, users, rooms, directory, capacity, absentGraceMs: 60_000 })
  await events.startCall(version(100), 'r', { user_id: 'm1', receiver_id: 'm2' })
  looked.clear()
  await events.endCall(version(101), 'r')
  expect([...looked].sort()).toEqual(['m1', 'm2'])
  expect((await users.read('m1')).record.call).toBeNull()
})

test('a room that is full takes nobody else in: the publisher is told, the user is in no room, those inside go on', async () => {
  const unconfirmed: unknown[] = []
  const subscription = bus.subscribe(voice.unconfirmed, {}, ({ payload }) => unconfirmed.push(payload))
  await bus.roundTrip()
  const ask = (channelName: string, user_id: string) =>
    bus.request(
      voice.room,
      { channelName, action: 'enter_room' },
      { user_id },
      { timeoutMs: 30_000, headers: { 'Carillon-Delivery': 'broadcast' } },
    )
  const channelOf = async (user_id: string) =>
    (await bus.request(voice.user_state, {}, { user_id }, { timeoutMs: 30_000 })).channel_name
  for (const [room, id] of [
    ['full', 'F1'],
    ['full', 'F2'],
    ['before', 'F3'],
  ] as const) {
    await ask(room, id)
    await eventually(async () => (await channelOf(id)) === room)
  }
  await eventually(() => service.directory.countOf('full') === 2)
  expect(await ask('full', 'F3')).toEqual({ delivered: false, relay_user_id: '', confirmed: false })
  expect(await channelOf('F3')).toBe('')
  await eventually(() => unconfirmed.length === 1)
  expect(unconfirmed).toMatchObject([
    { channel_name: 'full', action: 'enter_room', user_id: 'F3', tried: [], reason: 'room_full' },
  ])
  await ask('full', 'F1')
  expect(await channelOf('F1')).toBe('full')
  bus.publish(voice.room, { channelName: 'full', action: 'exit_room' }, { user_id: 'F1' })
  await eventually(() => service.directory.countOf('full') === 1)
  await ask('full', 'F3')
  await eventually(async () => (await channelOf('F3')) === 'full')
  subscription.unsubscribe()
})

test('with too many users in all rooms, who is known may move, and nobody new is let in', async () => {
  const refused: string[] = []
  await enters('K', 'one', 1)
  const usersMax = directory.size
  const capacity = new Capacity(directory, { roomMembersMax: 100, usersMax }, (full) => refused.push(full))
  const events = new RoomEvents({ clock, users, rooms, directory, capacity, absentGraceMs: 60_000 })
  const enterRoom = (user_id: string, sequence: number) =>
    events.change(version(sequence), 'two', 'enter_room', { user_id })
  expect(await enterRoom('K', 2)).toEqual({})
  expect(await enterRoom('L', 3)).toEqual({ refused: 'too_many_users' })
  await events.startCall(version(4), 'call', { user_id: 'K', receiver_id: 'L' })
  expect(refused).toEqual(['too_many_users', 'too_many_users'])
  expect((await users.read('K')).record).toMatchObject({ room: { channel_name: 'two' }, call: null })
  expect((await users.read('L')).record).toMatchObject({ room: null, call: null })
})
