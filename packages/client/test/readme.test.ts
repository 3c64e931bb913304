import { DEVELOPMENT_SECRET, mintSid, signToken } from '@carillon/auth'
import { campus, voice } from '@carillon/events'
import { eventually, loginToken, NatsServer, publishRaw } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { exampleOf } from './example.ts'
import { bootAuction, bootCampus, bootQuote, bootVoice, urlOf } from './fleet.ts'

let nats: NatsServer
const cleanups: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => nats.stop())

test('Auctions', async () => {
  const service = await bootAuction(nats)
  cleanups.push(() => service.stop())
  const bid = { amount: 1320000, nickName: 'Ann', avatar: '', userId: 3600, auctionId: 3607 }
  await publishRaw(nats.port, 'auction.3607.bid', JSON.stringify(bid))
  const { printed, run } = exampleOf('Auctions', urlOf(service.listener.port))
  await run({ TOKEN: await loginToken(3600) })
  expect(printed).toEqual(['Ann bids 1320000'])
})

test('Quotes', async () => {
  const service = await bootQuote(nats)
  cleanups.push(() => service.stop())
  const items = ['1.61', '2.4'].map((price, i) => ({
    event_id: '40789105-e',
    market_id: '219_33753655',
    product_id: String(i),
    price,
    status: String(1 - i),
  }))
  await publishRaw(nats.port, 'quote.chloe.40789105-e.219_33753655', JSON.stringify(items))
  const { printed, run } = exampleOf('Quotes', urlOf(service.listener.port))
  const claims = { user_id: 'u1', expires_at: '2130-02-10T00:00:00Z' }
  await run({ TOKEN: await signToken(DEVELOPMENT_SECRET, claims) })
  expect(printed).toEqual(['1.61,locked'])
})

test('Voice rooms', async () => {
  const service = await bootVoice(nats)
  cleanups.push(() => service.stop())
  const { printed, run } = exampleOf('Voice rooms', urlOf(service.listener.port))
  const over = run({ TOKEN: mintSid(DEVELOPMENT_SECRET, '3600', Math.floor(Date.now() / 1_000) + 3_600) })
  await eventually(() => service.listener.connections.size === 1)
  const publish = (action: 'enter_room' | 'send_topic_msg', body: object) =>
    service.bus.request(voice.room, { channelName: 'lobby', action }, body as never, { timeoutMs: 60_000 })
  await publish('enter_room', { user_id: 3600 })
  await publish('send_topic_msg', { user_id: 1, content: 'hello' })
  await over
  expect(printed).toEqual(['send_topic_msg lobby'])
})

test('Class boards', async () => {
  const fleet = await bootCampus(nats, { CAMPUS_ROOM_ACCESS: 'open' })
  cleanups.push(() => fleet.close())
  await fleet.register('AC4178234415', 'abcdef')
  const { printed, run } = exampleOf('Class boards', `http://127.0.0.1:${fleet.service.transport.port}`)
  const device = await run({ DEVICE_KEY: 'abcdef' })
  cleanups.push(() => device.close())
  const push = (event: 'device_status' | 'text_notifications', body: object) =>
    fleet.bus.request(campus.device, { serialNo: 'AC4178234415', event }, body, { timeoutMs: 30_000 })
  expect(await push('device_status', {})).toMatchObject({ response: { ack: true, status: 'on' } })
  const body = { notifications: [{ content: 'assembly at ten' }], ended_at: '2130-01-01 00:00:00' }
  expect(await push('text_notifications', body)).toMatchObject({ status: 'acked' })
  expect(printed).toEqual(['assembly at ten'])
})
