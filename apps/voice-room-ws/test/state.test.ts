import { Bus } from '@carillon/bus'
import { type VoiceUserRecord, voice, voiceRooms, voiceUsers } from '@carillon/events'
import { systemClock as clock } from '@carillon/service'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
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
  service = await bootVoice(nats)
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
  const events = new RoomEvents({ clock, users, rooms, directory, absentGraceMs: 60_000 })
  await events.startCall(version(100), 'r', { user_id: 'm1', receiver_id: 'm2' })
  looked.clear()
  await events.endCall(version(101), 'r')
  expect([...looked].sort()).toEqual(['m1', 'm2'])
  expect((await users.read('m1')).record.call).toBeNull()
})
