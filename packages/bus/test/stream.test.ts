import { defineEvent, json, type StreamDefinition } from '@carillon/events'
import { eventually, NatsServer, publishRaw } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { Bus, PayloadTooLarge, RevisionMismatch } from '../src/index.ts'

const stream: StreamDefinition = {
  name: 'JOBS',
  summary: '',
  subjects: ['job.*'],
  messagesPerSubject: -1,
  maxAgeMs: 0,
  storage: 'file',
}
const job = defineEvent('job.{id}', {
  summary: '',
  direction: 'send',
  payload: json(Type.Object({ n: Type.Integer() })),
  stream,
})

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
const store = (n: number, options = {}) => bus.publishStored(job, { id: 'a' }, { n }, options)

test('a message with an id is stored once, and only where the last sequence is the expected one', async () => {
  const first = await store(1, { messageId: 'x' })
  expect(await store(1, { messageId: 'x' })).toBe(first)
  expect(await store(2, { expectedLastSubjectSequence: first })).toBe(first + 1)
  await expect(store(3, { expectedLastSubjectSequence: first })).rejects.toThrow(RevisionMismatch)
  await expect(store(3, { expectedLastSequence: first })).rejects.toThrow(RevisionMismatch)
  expect(await store(3, { expectedLastSequence: first + 1 })).toBe(first + 2)
})

test('a payload that is too large for the server is an error, and the connection lives', async () => {
  const large = defineEvent('large', { summary: '', direction: 'send', payload: json(Type.String()) })
  expect(() => bus.publish(large, {}, 'x'.repeat(2_000_000))).toThrow(PayloadTooLarge)
  await bus.roundTrip()
})

test('followed in order and without gaps, over a restart of the server', async () => {
  const got: number[] = []
  for (let n = 0; n < 50; n++) await store(n)
  await publishRaw(nats.port, 'job.bad', '{"n":"x"}')
  const stop = bus.stream(stream).follow(job, ({ payload, sequence }) => {
    expect(sequence).toBeGreaterThan(got.length)
    got.push(payload.n)
  })
  await eventually(() => got.length === 50)
  await nats.halt('SIGKILL')
  await eventually(() => !bus.connected)
  await nats.resume()
  await eventually(() => bus.connected, 20_000)
  for (let n = 50; n < 100; n++) await store(n)
  await eventually(() => got.length === 100, 20_000)
  expect(got).toEqual(Array.from({ length: 100 }, (_, n) => n))
  stop()

  const recent: number[] = []
  const stopRecent = bus.stream(stream).follow(job, ({ payload }) => recent.push(payload.n), { from: 99 })
  const last: number[] = []
  const stopLast = bus
    .stream(stream)
    .follow(job, ({ payload }) => last.push(payload.n), { from: 'last-per-subject', params: { id: 'a' } })
  await eventually(() => recent.length === 3 && last.length === 1, 20_000)
  expect([recent, last]).toEqual([[97, 98, 99], [99]])
  stopRecent()
  stopLast()
})

test('worked off by several workers, each message until one has dealt with it', async () => {
  const done = new Set<number>()
  const attempts = new Map<number, number>()
  const other = new Bus({ url: nats.url, name: 'other' })
  other.start()
  const stops = [bus, other].map((each) =>
    each.stream(stream).work(
      job,
      'worker',
      async ({ payload, attempt }) => {
        attempts.set(payload.n, attempt)
        if (payload.n % 5 === 0 && attempt === 1) throw new Error('not yet')
        done.add(payload.n)
      },
      { retryMs: 50, concurrency: 4 },
    ),
  )
  await publishRaw(nats.port, 'job.bad', 'nonsense')
  for (let n = 0; n < 40; n++) await store(n)
  await eventually(() => done.size === 40, 20_000)
  expect([attempts.get(1), attempts.get(5)]).toEqual([1, 2])
  await Promise.all(stops.map((stop) => stop()))
  await other.stop()
})
