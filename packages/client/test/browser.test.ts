import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import * as endpointDiscovery from '@carillon/endpoint-discovery'
import { eventually, loginToken, NatsServer, publishRaw, testEnvironment } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { build, stop } from 'esbuild'
import { type Browser, chromium } from 'playwright-core'
import { AuctionClient } from '../src/index.ts'
import { bootAuction, reconnect, urlOf, WebSocket } from './fleet.ts'

const executablePath = process.env.CHROMIUM
const browserTest = executablePath ? test : test.skip

let nats: NatsServer
let auction: Awaited<ReturnType<typeof bootAuction>>
let discovery: ReturnType<typeof endpointDiscovery.create>
let pages: Server
let browser: Browser | undefined
beforeAll(async () => {
  nats = await NatsServer.start()
  const config = endpointDiscovery.readConfig(testEnvironment('DISCOVERY', nats))
  discovery = endpointDiscovery.create(config)
  await discovery.start()
  auction = await bootAuction(nats)
  pages = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html').end('<!doctype html>'),
  )
  await new Promise<void>((listening) => pages.listen(0, '127.0.0.1', listening))
  if (executablePath) {
    const args = [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-sync',
    ]
    browser = await chromium.launch({ executablePath, args })
  }
}, 90_000)
afterAll(async () => {
  await browser?.close()
  await stop()
  await new Promise((closed) => pages.close(closed))
  await auction.stop()
  await discovery.stop()
  await nats.stop()
})

const discoveryUrl = () => `http://127.0.0.1:${discovery.port()}`
const bid = { amount: 1320000, nickName: '测试号', avatar: '', userId: 3600, auctionId: 3607 }

test('the endpoint comes from discovery, and from the fallback where there is none', async () => {
  const clientOf = (endpoint: ConstructorParameters<typeof AuctionClient>[0]['endpoint']) =>
    new AuctionClient({ endpoint, token: () => loginToken(1), WebSocket, reconnect })
  const found = clientOf({ discoveryUrl: discoveryUrl(), region: 'default' })
  await found.connect()
  found.close()
  const fallback = clientOf({ discoveryUrl: 'http://127.0.0.1:9', fallbackUrl: urlOf(auction.listener.port) })
  await fallback.connect()
  fallback.close()
  const nowhere = clientOf({ discoveryUrl: () => `${discoveryUrl()}/iapi/websocket/end_point?service=voice` })
  const failed = new Promise((resolve) => nowhere.on('error', resolve))
  void nowhere.connect()
  expect(await failed).toMatchObject({ code: 'endpoint_unavailable' })
  nowhere.close()
})

browserTest(
  'in a page of another origin: the endpoint, a bid, and the connection that comes back',
  async () => {
    if (browser === undefined) throw new Error('there is no browser')
    const { outputFiles } = await build({
      stdin: {
        contents: "export { AuctionClient } from './src/auction/index.ts'",
        resolveDir: resolve(import.meta.dirname, '..'),
      },
      bundle: true,
      write: false,
      format: 'iife',
      globalName: 'carillon',
      conditions: ['source'],
    })
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`)
    await page.addScriptTag({ content: outputFiles[0]?.text as string })
    await page.evaluate(`
    var bids = [];
    var states = [];
    var client = new carillon.AuctionClient({
      endpoint: { discoveryUrl: '${discoveryUrl()}' },
      token: () => '${await loginToken(3600)}',
      reconnect: { baseMs: 20, maxMs: 100 },
    });
    client.on('state', ({ type }) => states.push(type));
    void client.connect();
    (async () => { for await (const bid of client.bids(3607)) bids.push(bid); })();
    // Not the loop's promise: the page is not to be waited for.
    undefined;`)
    const subscribed = () =>
      [...auction.listener.connections].some((each) => each.report().subscriptions.length === 1)
    await eventually(subscribed)
    await auction.bus.roundTrip()
    await publishRaw(nats.port, 'auction.3607.bid', JSON.stringify(bid))
    await eventually(async () => ((await page.evaluate('bids.length')) as number) === 1)
    expect(await page.evaluate('bids[0]')).toEqual(bid)

    for (const connection of auction.listener.connections)
      connection.close({ code: 1012, reason: 'service restart' })
    await eventually(
      async () => ((await page.evaluate("states.filter((each) => each === 'open').length")) as number) === 2,
    )
    await eventually(subscribed)
    await auction.bus.roundTrip()
    await publishRaw(nats.port, 'auction.3607.bid', JSON.stringify({ ...bid, amount: 2 }))
    await eventually(async () => ((await page.evaluate('bids.length')) as number) === 2)
    await page.evaluate('client.close()')
    await eventually(() => auction.listener.connections.size === 0)
  },
  90_000,
)
