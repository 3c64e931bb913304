import { eventually, loginToken, NatsServer, publishRaw } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Browser, chromium } from 'playwright-core'
import { type AuctionPush, bootAuction } from './auction.ts'

const executablePath = process.env.CHROMIUM
const browserTest = executablePath ? test : test.skip

let nats: NatsServer
let service: AuctionPush
let browser: Browser | undefined
beforeAll(async () => {
  nats = await NatsServer.start()
  service = await bootAuction(nats)
  if (executablePath) {
    const args = [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ]
    browser = await chromium.launch({ executablePath, args })
  }
})
afterAll(async () => {
  await browser?.close()
  await service.stop()
  await nats.stop()
})

browserTest(
  'the documented JavaScript, in a browser page',
  async () => {
    if (browser === undefined) throw new Error('there is no browser')
    const page = await browser.newPage()
    await page.evaluate(`
    var received = [];
    var ws = new WebSocket('ws://127.0.0.1:${service.listener.port}/ws/${await loginToken(3600)}');
    ws.onmessage = (event) => {
      // As the real client: skip the answer, parse everything else.
      received.push(event.data === 'success' ? event.data : JSON.parse(event.data));
    };
    ws.onopen = () => {
      ws.send('{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}');
      ws.send('{"key": "auction_subscribe", "data": {"event": "delay_close_time", "auctionId": "3607", "single": false}}');
      ws.send('{"key": "auction_subscribe", "data": {"event": "finish", "auctionId": "3607", "single": false}}');
    };`)
    const received = () => page.evaluate('received') as Promise<unknown[]>
    await eventually(async () => (await received()).length === 3)
    expect(await received()).toEqual(['success', 'success', 'success'])
    await service.bus.roundTrip()

    const bid = { amount: 1320000, nickName: '测试号', avatar: '', userId: 3600, auctionId: 3607 }
    const delay = { auctionId: 3607, closeTime: 1638685667639 }
    const finish = {
      auctionId: 3607,
      finalPrice: 1345674200,
      finalUserId: 3613,
      orderNo: '2021070922001437811438113772',
    }
    for (const [event, payload] of Object.entries({ bid, delay_close_time: delay, finish })) {
      await publishRaw(nats.port, `auction.3607.${event}`, JSON.stringify(payload))
    }
    await eventually(async () => (await received()).length === 6)
    expect((await received()).slice(3)).toEqual([
      { data: bid, event: 'bid' },
      { data: delay, event: 'delay_close_time' },
      { data: finish, event: 'finish' },
    ])

    await page.evaluate(`
    ws.send('{"key": "auction_cancel_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}');
    ws.send('{"key": "auction_cancel_subscribe", "data": {"event": "delay_close_time", "auctionId": "3607", "single": false}}');
    ws.send('{"key": "auction_cancel_subscribe", "data": {"event": "finish", "auctionId": "3607", "single": false}}');`)
    await eventually(async () => (await received()).length === 9)
    expect((await received()).slice(6)).toEqual(['success', 'success', 'success'])
  },
  60_000,
)
