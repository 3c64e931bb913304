import { auctionStream } from '@carillon/events'
import { NatsServer, publishRaw, type WebSocketClient } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type AuctionPush, bootAuction, connectAuction } from './auction.ts'

// The frames as the source document prints them.
const SUBSCRIBE_BID =
  '{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}'
const CANCEL_BID =
  '{"key": "auction_cancel_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}'
const SUBSCRIBE_DELAY =
  '{"key": "auction_subscribe", "data": {"event": "delay_close_time", "auctionId": "3607", "single": false}}'
const CANCEL_DELAY =
  '{"key": "auction_cancel_subscribe", "data": {"event": "delay_close_time", "auctionId": "3607", "single": false}}'
const SUBSCRIBE_FINISH =
  '{"key": "auction_subscribe", "data": {"event": "finish", "auctionId": "3607", "single": false}}'
const CANCEL_FINISH =
  '{"key": "auction_cancel_subscribe", "data": {"event": "finish", "auctionId": "3607", "single": false}}'

const BID = '{"amount":1320000,"nickName":"测试号","avatar":"","userId":3600,"auctionId":3607}'
const DELAY = '{"auctionId":3607,"closeTime":1638685667639}'
const FINISH =
  '{"auctionId":3607,"finalPrice":1345674200, "finalUserId": 3613, "orderNo": "2021070922001437811438113772"}'

describe('the documented exchange', () => {
  let nats: NatsServer
  let service: AuctionPush
  beforeAll(async () => {
    nats = await NatsServer.start()
    service = await bootAuction(nats)
  })
  afterAll(async () => {
    await service?.stop()
    await nats?.stop()
  })

  const subscribed = async (client: WebSocketClient, frame: string) => {
    client.send(frame)
    expect(await client.next()).toBe('success')
    // Everything sent to NATS before has arrived there.
    await service.bus.roundTrip()
  }

  test.each([
    ['bid', SUBSCRIBE_BID, CANCEL_BID, BID],
    ['delay_close_time', SUBSCRIBE_DELAY, CANCEL_DELAY, DELAY],
    ['finish', SUBSCRIBE_FINISH, CANCEL_FINISH, FINISH],
  ])('%s: subscribe, push byte for byte, cancel', async (event, subscribe, cancel, payload) => {
    const client = await connectAuction(service)
    await subscribed(client, subscribe)
    await publishRaw(nats.port, `auction.3607.${event}`, payload)
    expect(await client.next()).toBe(`{"data":${payload},"event":"${event}"}`)

    await subscribed(client, cancel)
    await publishRaw(nats.port, `auction.3607.${event}`, payload)
    await service.bus.roundTrip()
    client.send(subscribe)
    // The answer to this is the next frame: nothing came after the cancel.
    expect(await client.next()).toBe('success')
    client.close()
  })

  test('the real client: four subscribes back to back, pushes with numeric ids', async () => {
    const client = await connectAuction(service)
    for (const event of ['bid', 'delay_close_time', 'finish', 'enter']) {
      client.send({ key: 'auction_subscribe', data: { event, auctionId: '77', single: true } })
    }
    for (let i = 0; i < 4; i++) expect(await client.next()).toBe('success')
    await service.bus.roundTrip()
    const enter = '{"auctionId":77,"userId":5,"nickName":"a","avatar":"","level":3}'
    await publishRaw(nats.port, 'auction.77.enter', enter)
    expect(await client.next()).toBe(`{"data":${enter},"event":"enter"}`)
    await publishRaw(
      nats.port,
      'auction.77.finish',
      '{"auctionId":77,"finalPrice":1,"finalUserId":2,"orderNo":"x","nickName":"n"}',
    )
    expect(await client.nextJson()).toMatchObject({ event: 'finish', data: { auctionId: 77, nickName: 'n' } })
    client.close()
  })

  test('single replaces earlier auctions of the same event only', async () => {
    const client = await connectAuction(service)
    const subscribe = (event: string, auctionId: string, single: boolean) =>
      subscribed(client, JSON.stringify({ key: 'auction_subscribe', data: { event, auctionId, single } }))
    await subscribe('bid', '1', false)
    await subscribe('bid', '2', false)
    await subscribe('delay_close_time', '1', true)
    await subscribe('bid', '3', true)
    const bid = (auctionId: number) =>
      JSON.stringify({ amount: 1, nickName: '', avatar: '', userId: 1, auctionId })
    for (const id of [1, 2, 3]) await publishRaw(nats.port, `auction.${id}.bid`, bid(id))
    await publishRaw(nats.port, 'auction.1.delay_close_time', '{"auctionId":1,"closeTime":5}')
    expect(await client.next()).toBe(`{"data":${bid(3)},"event":"bid"}`)
    expect(await client.next()).toBe('{"data":{"auctionId":1,"closeTime":5},"event":"delay_close_time"}')
    client.close()
  })

  test('recover sends the stored last message right after success, then live ones', async () => {
    await service.bus.stream(auctionStream).ensure()
    const bid = (amount: number) =>
      JSON.stringify({ amount, nickName: '', avatar: '', userId: 1, auctionId: 88 })
    await publishRaw(nats.port, 'auction.88.bid', bid(1))
    await publishRaw(nats.port, 'auction.88.bid', bid(2))
    const client = await connectAuction(service)
    client.send({
      key: 'auction_subscribe',
      data: { event: 'bid', auctionId: '88', single: true, recover: true },
    })
    expect(await client.next()).toBe('success')
    expect(await client.next()).toBe(`{"data":${bid(2)},"event":"bid"}`)
    await publishRaw(nats.port, 'auction.88.bid', bid(3))
    expect(await client.next()).toBe(`{"data":${bid(3)},"event":"bid"}`)

    // A second subscriber of a live subject gets the last live message, once.
    const second = await connectAuction(service)
    second.send({ key: 'auction_subscribe', data: { event: 'bid', auctionId: 88, recover: true } })
    expect(await second.next()).toBe('success')
    expect(await second.next()).toBe(`{"data":${bid(3)},"event":"bid"}`)
    client.close()
    second.close()
  })
})
