import {
  auction,
  auctionSettings,
  auctionStream,
  type BucketDefinition,
  json,
  settingsBucket,
} from '@carillon/events'
import { eventually, NatsServer, publishRaw, requestRaw } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { Bus, type Change, Interest, LiveSettings, type RejectedPayload } from '../src/index.ts'

const things: BucketDefinition<{ size: number }> = {
  name: 'things',
  summary: '',
  value: json(Type.Object({ size: Type.Integer() })),
  storage: 'file',
  maxAgeMs: 0,
}

let nats: NatsServer
let bus: Bus
let rejected: RejectedPayload[]
beforeEach(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  rejected = []
  bus.onRejected((each) => rejected.push(each))
  bus.start()
  await eventually(() => bus.connected)
})
afterEach(async () => {
  await bus.stop()
  await nats.stop()
})

const api = async (call: string, request: object = {}) =>
  JSON.parse(await requestRaw(nats.port, `$JS.API.${call}`, JSON.stringify(request)))
const problemOf = (name: string) => bus.storage.find((each) => each.name === name)?.problem
const exists = async (name: string) => (await api(`STREAM.INFO.${name}`)).config !== undefined

describe('deleted while running', () => {
  test('a bucket is made again, and what is put into it then is seen', async () => {
    const bucket = bus.bucket(things)
    const changes: Change<{ size: number }>[] = []
    const stop = bucket.watch((change) => changes.push(change))
    await bucket.put('a', { size: 1 })
    await eventually(() => changes.length === 1)
    expect(await api('STREAM.DELETE.KV_things')).toMatchObject({ success: true })
    await eventually(() => changes.length === 2, 20_000)
    expect(await exists('KV_things')).toBe(true)
    await bucket.put('b', { size: 2 })
    await eventually(() => changes.some(({ key }) => key === 'b'), 20_000)
    expect(changes).toMatchObject([
      { key: 'a', value: { size: 1 } },
      { key: 'a', value: undefined },
      { key: 'b', value: { size: 2 } },
    ])
    stop()
  })

  test('a bucket that somebody else makes again at once is noticed too', async () => {
    const bucket = bus.bucket(things)
    const changes: Change<{ size: number }>[] = []
    const stop = bucket.watch((change) => changes.push(change))
    await bucket.put('a', { size: 1 })
    await eventually(() => changes.length === 1)
    const { config } = await api('STREAM.INFO.KV_things')
    await api('STREAM.DELETE.KV_things')
    await api('STREAM.CREATE.KV_things', config)
    await publishRaw(nats.port, '$KV.things.b', '{"size":2}')
    await eventually(() => changes.some(({ key }) => key === 'b'), 20_000)
    stop()
  })

  test('what is written meanwhile finds the bucket made again', async () => {
    const bucket = bus.bucket(things)
    await bucket.put('a', { size: 1 })
    await api('STREAM.DELETE.KV_things')
    await bucket.put('b', { size: 2 })
    expect(await bucket.keys()).toEqual(['b'])
  })

  test('a stream is made again, and followers hear of what it stores then', async () => {
    const delivered: number[] = []
    const interest = new Interest<typeof auction.delay_close_time>({
      bus,
      deliver: (_channel, { payload }) => delivered.push((payload as { closeTime: number }).closeTime),
    })
    await bus.keepStream(auctionStream).ensure()
    const subject = auction.delay_close_time.subject({ auctionId: '1' })
    await interest.hold(auction.delay_close_time, { auctionId: '1' })
    await publishRaw(nats.port, subject, '{"auctionId":1,"closeTime":1}')
    await eventually(() => delivered.length === 1)
    expect(await api('STREAM.DELETE.AUCTION')).toMatchObject({ success: true })
    await eventually(() => exists('AUCTION'), 20_000)
    await publishRaw(nats.port, subject, '{"auctionId":1,"closeTime":2}')
    await eventually(() => delivered.length === 2)
    expect(problemOf('AUCTION')).toBeUndefined()
    interest.stop()
  })
})

test('what cannot be made is a problem with a reason, and none once it can', async () => {
  await api('STREAM.CREATE.OTHER', { name: 'OTHER', subjects: ['auction.*.bid'], storage: 'memory' })
  bus.keepStream(auctionStream)
  await eventually(() => problemOf('AUCTION')?.includes('not available') ?? false, 20_000)
  expect(bus.storage).toMatchObject([{ name: 'AUCTION', essential: true }])
  await api('STREAM.DELETE.OTHER')
  await eventually(() => problemOf('AUCTION') === undefined, 20_000)
})

test('more replicas than there are servers is a problem with a reason', async () => {
  const three = new Bus({ url: nats.url, name: 'three', replicas: 3 })
  three.start()
  three.keepStream(auctionStream)
  await eventually(() => three.storage[0]?.problem?.includes('replicas') ?? false, 20_000)
  await three.stop()
})

test('a setting that nests 50,000 deep stops no other setting', async () => {
  const applied: number[] = []
  const settings = new LiveSettings(bus, 'auction-push')
  settings.follow(auctionSettings.idleTimeoutMs, 30_000, (value) => applied.push(value))
  settings.start()
  const bucket = bus.bucket(settingsBucket)
  await bucket.put('auction-push.idle_timeout_ms', 5_000)
  await eventually(() => applied.at(-1) === 5_000)
  const deep = '['.repeat(50_000) + ']'.repeat(50_000)
  for (const key of ['auction-push.idle_timeout_ms', 'auction-push.other', 'other.x']) {
    await publishRaw(nats.port, `$KV.settings.${key}`, deep)
    await publishRaw(nats.port, `$KV.settings.${key}`, `{"a":${deep}}`)
  }
  await bucket.put('auction-push.idle_timeout_ms', 6_000)
  await eventually(() => applied.at(-1) === 6_000)
  expect(applied).toEqual([30_000, 5_000, 6_000])
  settings.stop()
})

test('a stored message that is not valid is reported; those who are here keep the last valid one', async () => {
  const interest = new Interest<typeof auction.delay_close_time>({ bus, deliver: () => {} })
  const subject = auction.delay_close_time.subject({ auctionId: '1' })
  await bus.stream(auctionStream).ensure()
  await interest.hold(auction.delay_close_time, { auctionId: '1' })
  await publishRaw(nats.port, subject, '{"auctionId":1,"closeTime":1}')
  await publishRaw(nats.port, subject, '{"auctionId":1}')
  await eventually(() => rejected.length === 1)
  const known = await interest.lastBeforeLive(subject, {})
  expect(Buffer.from(known ?? []).toString()).toBe('{"auctionId":1,"closeTime":1}')

  const late = new Interest<typeof auction.delay_close_time>({ bus, deliver: () => {} })
  await late.hold(auction.delay_close_time, { auctionId: '1' })
  expect(await late.lastBeforeLive(subject, {})).toBeUndefined()
  await eventually(() =>
    rejected.some(({ subject: of, reason }) => of === subject && reason.startsWith('stored: ')),
  )
  interest.stop()
  late.stop()
})

test('the traces of deleted keys can be purged; what was written since stays', async () => {
  const bucket = bus.bucket(things)
  for (const key of ['a', 'b', 'c']) await bucket.put(key, { size: 1 })
  await bucket.delete('a')
  await bucket.delete('b')
  await bucket.put('b', { size: 2 })
  const messages = async () => (await api('STREAM.INFO.KV_things')).state.messages
  expect(await messages()).toBe(3)
  await bucket.purgeDeleted(3_600_000)
  expect(await messages()).toBe(3)
  await bucket.purgeDeleted(0)
  expect(await messages()).toBe(2)
  expect((await bucket.keys()).sort()).toEqual(['b', 'c'])
})
