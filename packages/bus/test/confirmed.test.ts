import { auction, type EventChannel } from '@carillon/events'
import { eventually, NatsLink, NatsServer, publishRaw } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Bus, Interest } from '../src/index.ts'

type Channel = typeof auction.delay_close_time

let nats: NatsServer
let buses: Bus[]
beforeEach(async () => {
  nats = await NatsServer.start()
  buses = []
})
afterEach(async () => {
  await Promise.all(buses.map((bus) => bus.stop()))
  await nats.stop()
})

async function connect(url = nats.url): Promise<Bus> {
  const bus = new Bus({ url, name: 'test' })
  buses.push(bus)
  bus.start()
  await eventually(() => bus.connected)
  return bus
}

test('what is published on receipt of the confirmation is delivered, for 1,000 first followers', async () => {
  const [followers, publisher] = [await connect(), await connect()]
  const delivered = new Set<string>()
  const interest = new Interest<Channel>({
    bus: followers,
    deliver: (_channel, { params }) => delivered.add((params as { auctionId: string }).auctionId),
  })
  await Promise.all(
    Array.from({ length: 1_000 }, async (_, id) => {
      await new Promise((resolve) => setTimeout(resolve, id % 50))
      await interest.hold(auction.delay_close_time, { auctionId: String(id) })
      publisher.publish(auction.delay_close_time, { auctionId: String(id) }, { auctionId: id, closeTime: 1 })
    }),
  )
  await eventually(() => delivered.size === 1_000)
  interest.stop()
})

test('one round-trip confirms all that arrive in a tick; a confirmed subject has nobody wait', async () => {
  const bus = await connect()
  const interest = new Interest<Channel>({ bus, deliver: () => {} })
  const first = Array.from({ length: 100 }, (_, id) =>
    interest.hold(auction.delay_close_time, { auctionId: String(id) }),
  )
  expect(new Set(first).size).toBe(1)
  await first[0]
  expect(interest.hold(auction.delay_close_time, { auctionId: '7' })).toBeUndefined()
  interest.stop()
})

test('without NATS nothing is confirmed, and everything is once it is back', async () => {
  const link = await NatsLink.open(nats.port)
  const bus = await connect(link.url)
  const subscribe = (id: string) =>
    bus.subscribe(auction.delay_close_time as EventChannel, { auctionId: id } as object, () => {})
  const before = subscribe('1')
  await before.confirmed
  expect(before.confirmed).toBeUndefined()
  // Neither the link that is lost, nor the one that is silent, confirms anything.
  link.silence()
  const during = subscribe('2')
  const asked = during.confirmed
  let kept = false
  void asked?.then(() => (kept = true))
  await eventually(() => !bus.connected, 20_000)
  expect([kept, before.confirmed instanceof Promise]).toEqual([false, true])
  const away = subscribe('3')
  expect(away.confirmed).toBeInstanceOf(Promise)
  link.restore()
  await Promise.all([asked, before.confirmed, away.confirmed])
  expect([before, during, away].map(({ confirmed }) => confirmed)).toEqual([undefined, undefined, undefined])
  await link.close()
})

test('a handler that throws does not end its subscription', async () => {
  const bus = await connect()
  const got: unknown[] = []
  bus.subscribe(auction.delay_close_time, { auctionId: '1' }, () => {
    throw new Error('our own mistake')
  })
  bus.subscribe(auction.delay_close_time, {}, ({ payload }) => got.push(payload.closeTime))
  await bus.roundTrip()
  for (const closeTime of [1, 2]) {
    await publishRaw(nats.port, 'auction.1.delay_close_time', JSON.stringify({ auctionId: 1, closeTime }))
  }
  await eventually(() => got.length === 2)
})
