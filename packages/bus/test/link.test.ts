import { auction, auctionStream } from '@carillon/events'
import { eventually, NatsLink, NatsServer, publishRaw } from '@carillon/testkit'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { Bus, Interest } from '../src/index.ts'

type Channel = typeof auction.delay_close_time

let nats: NatsServer
let link: NatsLink
let bus: Bus
let interest: Interest<Channel>
let delivered: number[]

const subject = (id: number) => auction.delay_close_time.subject({ auctionId: String(id) })
const hold = (id: number) => interest.hold(auction.delay_close_time, { auctionId: String(id) })
const publish = (id: number, closeTime: number) =>
  publishRaw(nats.port, subject(id), JSON.stringify({ auctionId: id, closeTime }))
const closeTimeOf = (bytes: Uint8Array | undefined) =>
  bytes && JSON.parse(Buffer.from(bytes).toString()).closeTime
const last = async (id: number) => closeTimeOf(await interest.lastBeforeLive(subject(id), {}))

beforeEach(async () => {
  nats = await NatsServer.start()
  link = await NatsLink.open(nats.port)
  bus = new Bus({ url: link.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  await bus.stream(auctionStream).ensure()
  delivered = []
  interest = new Interest<Channel>({
    bus,
    lingerMs: 50,
    deliver: (_channel, { bytes }) => delivered.push(closeTimeOf(bytes)),
  })
})
afterEach(async () => {
  jest.restoreAllMocks()
  interest.stop()
  await bus.stop()
  await link.close()
  await nats.stop()
})

test('a link that falls silent is noticed in under 10 s; what was published meanwhile comes late, once', async () => {
  for (const id of [1, 2, 3]) await hold(id)
  await publish(1, 10)
  await publish(2, 20)
  await eventually(() => delivered.length === 2)
  link.silence()
  const silentSince = performance.now()
  await publish(1, 11)
  await publish(3, 30)
  await eventually(() => !bus.connected, 20_000)
  expect(performance.now() - silentSince).toBeLessThan(10_000)
  link.restore()
  await eventually(() => delivered.length === 4, 20_000)
  await publish(2, 21)
  await eventually(() => delivered.includes(21))
  expect(delivered.sort()).toEqual([10, 11, 20, 21, 30])
  expect(await Promise.all([1, 2, 3].map(last))).toEqual([11, 21, 30])
})

test('a newcomer who asks after a silent link gets what is stored, not what is remembered', async () => {
  await hold(1)
  await publish(1, 10)
  await eventually(() => delivered.length === 1)
  link.silence()
  await publish(1, 11)
  await eventually(() => !bus.connected, 20_000)
  // Asked while NATS is away: waits, and is not answered from memory.
  const asked = last(1)
  link.restore()
  // Everybody is given it, the newcomer included, or the newcomer alone, as its answer.
  await eventually(() => delivered.includes(11), 20_000)
  expect([undefined, 11]).toContain(await asked)
  expect(await last(1)).toBe(11)
})

test('what a stored message looks like does not decide whether it is new: its sequence does', async () => {
  await hold(1)
  await publish(1, 10)
  await eventually(() => delivered.length === 1)
  // A live message that the stream does not keep: another stream's subject would do as well.
  await bus.stream({ ...auctionStream, subjects: ['auction.*.bid'] }).ensure()
  await publish(1, 11)
  await eventually(() => delivered.length === 2)
  await bus.stream({ ...auctionStream }).ensure()
  // The stream has long been past 10 when the connection is lost.
  const { sequence } = bus.stream(auctionStream).checkpoint
  await eventually(() => bus.stream(auctionStream).checkpoint.sequence >= Math.max(1, sequence), 15_000)
  await nats.halt('SIGKILL')
  await eventually(() => !bus.connected)
  await nats.resume()
  await eventually(() => bus.connected, 20_000)
  expect(await last(1)).toBe(11)
  expect(delivered).toEqual([10, 11])
})

test('a clock that is set back by an hour keeps nobody away', async () => {
  await hold(1)
  await nats.halt('SIGKILL')
  await eventually(() => !bus.connected)
  const real = Date.now
  jest.spyOn(Date, 'now').mockImplementation(() => real() - 3_600_000)
  await nats.resume()
  await eventually(() => bus.connected, 20_000)
  await hold(1)
  await publish(1, 10)
  await eventually(() => delivered.length === 1)
})

test('an answer that is under way when the link breaks is an error at once', async () => {
  link.silence()
  const asked = bus.roundTrip().catch((error: Error) => error.message)
  await eventually(() => !bus.connected, 20_000)
  expect(await asked).toBe('NATS is not connected')
})
