import { auction, auctionStream } from '@carillon/events'
import { eventually, NatsServer, publishRaw } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Bus, Interest } from '../src/index.ts'

let nats: NatsServer
let bus: Bus
let interest: Interest<typeof auction.delay_close_time>
let delivered: number[]

const subject = (id: string) => auction.delay_close_time.subject({ auctionId: id })
const publish = (id: number, closeTime: number) =>
  publishRaw(nats.port, subject(String(id)), JSON.stringify({ auctionId: id, closeTime }))
const closeTimeOf = (bytes: Uint8Array | undefined) =>
  bytes && JSON.parse(Buffer.from(bytes).toString()).closeTime

beforeEach(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  await bus.stream(auctionStream).ensure()
  delivered = []
  interest = new Interest({
    bus,
    lingerMs: 50,
    deliver: (_channel, { bytes }) => delivered.push(closeTimeOf(bytes)),
  })
})
afterEach(async () => {
  interest.stop()
  await bus.stop()
  await nats.stop()
})

test('one subscription for all holders, which outlives the last of them a little', async () => {
  interest.hold(auction.delay_close_time, { auctionId: '1' })
  interest.hold(auction.delay_close_time, { auctionId: '1' })
  await bus.roundTrip()
  await publish(1, 10)
  await publish(2, 20)
  await eventually(() => delivered.length === 1)
  interest.release(subject('1'))
  await publish(1, 11)
  await eventually(() => delivered.length === 2)
  interest.release(subject('1'))
  expect(interest.size).toBe(1)
  await eventually(() => interest.size === 0)
  await bus.roundTrip()
  await publish(1, 12)
  await bus.roundTrip()
  expect(delivered).toEqual([10, 11])
})

test('the last message comes from the stream, or from the wire once one was seen', async () => {
  await publish(1, 10)
  interest.hold(auction.delay_close_time, { auctionId: '1' })
  expect(closeTimeOf(await interest.lastBeforeLive(subject('1'), {}))).toBe(10)
  await publish(1, 11)
  await eventually(() => delivered.length === 1)
  expect(closeTimeOf(await interest.lastBeforeLive(subject('1'), {}))).toBe(11)
  interest.hold(auction.delay_close_time, { auctionId: '2' })
  expect(await interest.lastBeforeLive(subject('2'), {})).toBeUndefined()
  expect(await interest.lastBeforeLive('auction.3.delay_close_time', {})).toBeUndefined()
})

test('a live message that overtakes the question answers it', async () => {
  await publish(1, 10)
  interest.hold(auction.delay_close_time, { auctionId: '1' })
  await bus.roundTrip()
  // Sent before the question is asked: it is delivered first, so that the stored one must not come after it.
  const overtaking = publish(1, 11)
  const last = await interest.lastBeforeLive(subject('1'), {})
  await overtaking
  await eventually(() => delivered.length === 1 || closeTimeOf(last) === 11)
  if (delivered.length === 0) await bus.roundTrip()
  const seen = [...delivered, ...(last ? [closeTimeOf(last)] : [])]
  expect(new Set(seen).size).toBe(seen.length)
})

test('the live copy of a message just read goes to those who were not given it', async () => {
  const heldBack: (() => void)[] = []
  const got: [number, ReadonlySet<object> | undefined][] = []
  const slow = new Interest<typeof auction.delay_close_time>({
    bus: {
      log: bus.log,
      clustered: false,
      reject: (subject, reason) => bus.reject(subject, reason),
      stream: (definition) => bus.stream(definition),
      onChange: (listener) => bus.onChange(listener),
      subscribe: (channel, params, handle) =>
        bus.subscribe(channel, params, (delivery) => heldBack.push(() => handle(delivery))),
    },
    deliver: (_channel, { bytes }, except) => got.push([closeTimeOf(bytes), except]),
  })
  const [early, late] = [{}, {}]
  slow.hold(auction.delay_close_time, { auctionId: '1' })
  expect(await slow.lastBeforeLive(subject('1'), early)).toBeUndefined()
  slow.hold(auction.delay_close_time, { auctionId: '2' })
  await bus.roundTrip()
  await publish(2, 10)
  await eventually(() => heldBack.length === 1)
  expect(closeTimeOf(await slow.lastBeforeLive(subject('2'), late))).toBe(10)
  heldBack.shift()?.()
  expect(got).toEqual([[10, new Set([late])]])

  // The same message again is a message of its own.
  await publish(2, 10)
  await eventually(() => heldBack.length === 1)
  heldBack.shift()?.()
  expect(got.at(-1)).toEqual([10, undefined])
  slow.stop()
})

test('a stored message that does not match its schema is not handed out', async () => {
  await publishRaw(nats.port, subject('1'), '{"auctionId":1}')
  interest.hold(auction.delay_close_time, { auctionId: '1' })
  expect(await interest.lastBeforeLive(subject('1'), {})).toBeUndefined()
})

test('a stored message that is asked for before NATS is there is answered once it is', async () => {
  await publish(1, 10)
  await eventually(async () => (await bus.stream(auctionStream).last(subject('1'))) !== undefined)
  await nats.halt('SIGTERM')
  const late = new Bus({ url: nats.url, name: 'late' })
  late.start()
  const got: number[] = []
  const waiting = new Interest<typeof auction.delay_close_time>({
    bus: late,
    deliver: (_channel, { bytes }) => got.push(closeTimeOf(bytes)),
  })
  waiting.hold(auction.delay_close_time, { auctionId: '1' })
  waiting.hold(auction.delay_close_time, { auctionId: '2' })
  const asked = waiting.lastBeforeLive(subject('1'), {})
  await nats.resume()
  expect(closeTimeOf(await asked)).toBe(10)
  expect(got).toEqual([])
  waiting.stop()
  await late.stop()
})

test('what was published while this process was cut off is delivered after the reconnect, once', async () => {
  interest.hold(auction.delay_close_time, { auctionId: '1' })
  interest.hold(auction.delay_close_time, { auctionId: '2' })
  await bus.roundTrip()
  await publish(1, 10)
  await publish(2, 20)
  await eventually(() => delivered.length === 2)
  await nats.halt('SIGTERM')
  await eventually(() => !bus.connected)
  await nats.resume()
  // Before our jittered reconnect.
  await eventually(async () => {
    await publish(1, 11)
    return true
  })
  await eventually(() => delivered.includes(11))
  await bus.roundTrip()
  expect(delivered.sort()).toEqual([10, 11, 20])
})
