import { auctionSettings, type BucketDefinition, json, settingsBucket } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { Bus, type Change, LiveSettings, RevisionMismatch } from '../src/index.ts'

const things: BucketDefinition<{ size: number }> = {
  name: 'things',
  summary: '',
  value: json(Type.Object({ size: Type.Integer() })),
  storage: 'file',
  maxAgeMs: 0,
}

let nats: NatsServer
let bus: Bus
beforeEach(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
})
afterEach(async () => {
  await bus.stop()
  await nats.stop()
})

test('put, get, compare-and-set, create, delete', async () => {
  const bucket = bus.bucket(things)
  expect(await bucket.get('a')).toBeUndefined()
  const revision = await bucket.put('a', { size: 1 })
  expect(await bucket.get('a')).toEqual({ value: { size: 1 }, revision })
  await bucket.update('a', { size: 2 }, revision)
  await expect(bucket.update('a', { size: 3 }, revision)).rejects.toThrow(RevisionMismatch)
  await expect(bucket.create('a', { size: 4 })).rejects.toThrow(RevisionMismatch)
  await expect(bucket.delete('a', { revision })).rejects.toThrow(RevisionMismatch)
  const { revision: last = 0 } = (await bucket.get('a')) ?? {}
  await bucket.delete('a', { revision: last })
  expect(await bucket.get('a')).toBeUndefined()
  await expect(bucket.update('a', { size: 5 }, last)).rejects.toThrow(RevisionMismatch)
  await bucket.create('a', { size: 6 })
  await bucket.delete('a')
  await bucket.delete('a')
  expect(await bucket.get('a')).toBeUndefined()
  expect(() => things.value.encode({ size: 0.5 })).toThrow(TypeError)
})

test('keys and watches by filter', async () => {
  const bucket = bus.bucket(things)
  expect(await bucket.keys()).toEqual([])
  const changes: Change<unknown>[] = []
  let synced = 0
  const stop = bucket.watch((change) => changes.push(change), { filter: 'room.*', onSynced: () => synced++ })
  await eventually(() => synced === 1)
  for (const key of ['room.1', 'room.2', 'user.1', 'room.1.seat']) await bucket.put(key, { size: 1 })
  await bucket.delete('room.2')
  expect((await bucket.keys()).sort()).toEqual(['room.1', 'room.1.seat', 'user.1'])
  expect(await bucket.keys('room.*')).toEqual(['room.1'])
  await eventually(() => changes.length === 3)
  expect(changes.map(({ key }) => key)).toEqual(['room.1', 'room.2', 'room.2'])
  stop()
})

test('a watch sees what is there, what changes, and what went away while NATS was gone', async () => {
  const bucket = bus.bucket(things)
  await bucket.put('old', { size: 1 })
  const changes: Change<unknown>[] = []
  const stop = bucket.watch((change) => changes.push(change))
  await eventually(() => changes.length === 1)
  await bucket.put('new', { size: 2 })
  await bus.bucket({ ...things, value: json(Type.Unknown()) as never }).put('bad', { size: 'x' } as never)
  await bucket.delete('old')
  await eventually(() => changes.length === 4)
  expect(changes).toMatchObject([
    { key: 'old', value: { size: 1 } },
    { key: 'new', value: { size: 2 } },
    { key: 'bad', refused: '/size must be integer' },
    { key: 'old', value: undefined },
  ])

  await nats.halt('SIGKILL')
  await eventually(() => !bus.connected)
  changes.length = 0
  await nats.resume()
  await eventually(() => changes.some((change) => change.key === 'new'))
  await bucket.put('later', { size: 3 })
  await eventually(() => changes.some((change) => change.key === 'later'))
  stop()
})

test('live settings: applied at once, bad values refused, deleted ones fall back', async () => {
  const bucket = bus.bucket(settingsBucket)
  const applied: number[] = []
  const settings = new LiveSettings(bus, 'auction-push')
  settings.follow(auctionSettings.idleTimeoutMs, 30_000, (value) => applied.push(value))
  settings.start()
  expect(applied).toEqual([30_000])
  const key = 'auction-push.idle_timeout_ms'
  await bucket.put(key, 5_000)
  await eventually(() => applied.at(-1) === 5_000)
  await bucket.put(key, 'soon')
  await bucket.put(key, -1)
  await bucket.put('other.idle_timeout_ms', 1)
  await bucket.put(key, 6_000)
  await eventually(() => applied.at(-1) === 6_000)
  await bucket.delete(key)
  await eventually(() => applied.at(-1) === 30_000)
  expect(applied).toEqual([30_000, 5_000, 6_000, 30_000])
  settings.stop()
})
