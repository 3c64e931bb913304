import { defineEvent, json, type StreamDefinition } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { Bus, type WorkItem } from '../src/index.ts'

const stream: StreamDefinition = {
  name: 'JOBS',
  summary: '',
  subjects: ['jobs.*'],
  messagesPerSubject: -1,
  maxAgeMs: 60_000,
  storage: 'file',
  retention: 'workqueue',
  acknowledges: false,
  duplicatesMs: 30_000,
}
const jobs = defineEvent('jobs.{id}', {
  summary: '',
  direction: 'receive',
  payload: json(Type.Integer()),
  stream,
})

let nats: NatsServer
const buses: Bus[] = []
const connect = async () => {
  const bus = new Bus({ url: nats.url, name: 'test' })
  buses.push(bus)
  bus.start()
  await eventually(() => bus.connected)
  return bus
}
beforeEach(async () => {
  nats = await NatsServer.start()
})
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.stop()
  await nats.stop()
})

const take = (bus: Bus, ackWaitMs = 30_000, inFlightMax = 100) => {
  const items: WorkItem[] = []
  const queue = bus.workQueue(stream, {
    durable: 'worker',
    ackWaitMs,
    inFlightMax,
    handle: (item) => items.push(item),
  })
  queue.start()
  return { items, queue }
}
// On a busy machine a message that waited for longer than the time to settle it comes again.
const ids = (items: readonly WorkItem[]) => [...new Set(items.map(({ subject }) => subject))].sort()

test('each message goes to one worker; one that is not settled in time goes to another', async () => {
  const [one, two, publisher] = [await connect(), await connect(), await connect()]
  const first = take(one, 1_000)
  await publisher.stream(stream).ensure()
  for (let i = 0; i < 4; i++) publisher.publish(jobs, { id: String(i) }, i)
  await eventually(() => ids(first.items).length === 4)
  const settled = ids(first.items).slice(0, 2)
  const rest = ids(first.items).slice(2)
  for (const item of first.items.filter(({ subject }) => settled.includes(subject))) item.done()
  first.items.find(({ subject }) => rest.includes(subject))?.extend()
  await one.stop()
  const second = take(two, 1_000)
  await eventually(() => ids(second.items).length === 2)
  expect(ids(second.items)).toEqual(rest)
  expect(second.items[0]?.position.epoch).toBe(first.items[0]?.position.epoch)
  await eventually(() => {
    for (const item of second.items.splice(0)) item.done()
    return second.queue.inFlight === 0
  })
  second.queue.stop()
})

test('takes no more than it may, and goes on when there is room', async () => {
  const bus = await connect()
  await bus.stream(stream).ensure()
  for (let i = 0; i < 5; i++) bus.publish(jobs, { id: String(i) }, i)
  const { items, queue } = take(bus, 30_000, 2)
  await eventually(() => items.length === 2)
  await bus.roundTrip()
  expect(items.length).toBe(2)
  items[0]?.done()
  items[1]?.abandon()
  await eventually(() => items.length === 4)
  for (const item of items) item.done()
  await eventually(() => items.length === 5)
  queue.stop()
})

test('goes on after NATS was away; a duplicate is not stored twice', async () => {
  const bus = await connect()
  const { items, queue } = take(bus)
  await bus.stream(stream).ensure()
  const once = { headers: { 'Nats-Msg-Id': 'x' } }
  bus.publish(jobs, { id: 'a' }, 1, once)
  bus.publish(jobs, { id: 'a' }, 1, once)
  await eventually(() => items.length === 1)
  items[0]?.done()
  await bus.roundTrip()
  await nats.halt('SIGTERM')
  await eventually(() => !bus.connected)
  await nats.resume()
  await eventually(() => bus.connected)
  await bus.stream(stream).ensure()
  bus.publish(jobs, { id: 'b' }, 2)
  await eventually(() => items.length === 2)
  expect(items.map(({ subject }) => subject)).toEqual(['jobs.a', 'jobs.b'])
  queue.stop()
})

test('a request is not answered by the stream, but by whoever answers it', async () => {
  const bus = await connect()
  await bus.stream(stream).ensure()
  const { defineRequest } = await import('@carillon/events')
  const asked = defineRequest('jobs.{id}', {
    summary: '',
    direction: 'receive',
    answers: 'one',
    payload: json(Type.Integer()),
    reply: json(Type.String()),
  })
  const replySubjects: (string | undefined)[] = []
  bus.subscribe(
    asked,
    {},
    ({ replyTo }) => {
      replySubjects.push(replyTo)
      bus.answer(asked, replyTo as string, 'later')
    },
    { requestsOnly: true },
  )
  bus.publish(asked, { id: '1' }, 1)
  expect(await bus.request(asked, { id: '2' }, 2)).toBe('later')
  expect(replySubjects.length).toBe(1)
})
