import { create as createAuction, readConfig as readAuctionConfig } from '@carillon/auction-push'
import {
  AppProcess,
  eventually,
  loginToken,
  NatsServer,
  testEnvironment,
  WebSocketClient,
} from '@carillon/testkit'
import { afterAll, beforeAll, expect } from '@jest/globals'
import type { Browser } from 'playwright-core'
import { create, readConfig } from '../src/server.ts'
import { attacked, browserTest, launchChromium, openTab, type Tab } from './chromium.ts'

/** At most what a close reason may have: 123 bytes. */
const hostile = `<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>`
const USER = '3600'

let nats: NatsServer
let auction: ReturnType<typeof createAuction>
let other: AppProcess
let server: ReturnType<typeof create>
let browser: Browser | undefined
/** The operator's tab, and that of a test user. */
let tab: Tab
let tried: Tab
const clients: WebSocketClient[] = []

const open = (view: string) => tab.page.click(`nav a[href="#${view}"]`)

beforeAll(async () => {
  nats = await NatsServer.start()
  const env = testEnvironment('AUCTION', nats)
  auction = createAuction(readAuctionConfig(env))
  await auction.start()
  await eventually(() => auction.bus.connected)
  other = await AppProcess.start('auction-push', 'AUCTION', { NATS_URL: nats.url, NODE_ENV: 'test' })
  server = create(readConfig(testEnvironment('CONSOLE', nats)))
  await server.start()
  await eventually(() => server.bus.connected)
  browser = await launchChromium()
  if (browser) tab = await openTab(browser, `http://127.0.0.1:${server.port()}/`)
})
afterAll(async () => {
  await browser?.close()
  for (const client of clients) client.close()
  await other.stop()
  await server.stop()
  await auction.stop()
  await nats.stop()
})

browserTest('instances and their connections are on the page', async () => {
  const { page } = tab
  await page.waitForSelector('.dot.good >> text=NATS')
  await eventually(async () => (await page.locator('tr[data-instance]').count()) === 2)
  for (let count = 0; count < 10; count += 1) {
    const url = `ws://127.0.0.1:${auction.listener.port}/ws/${await loginToken(USER)}`
    clients.push(await WebSocketClient.connect(url))
  }
  const row = `tr[data-instance="${auction.instanceId}"]`
  await page.waitForSelector(`${row} [data-connections="10"]`)
  expect(await page.textContent(row)).toContain('ready')
  // The sum of the fleet, and the plot's figure.
  await eventually(async () => (await page.textContent('.figures .big >> nth=0')) === '10')
  await eventually(async () => (await page.textContent('.plot .value >> nth=0'))?.trim() === '10')
})

browserTest('a user is looked up and disconnected; the reason is text everywhere', async () => {
  const { page } = tab
  await open('look-up')
  await page.fill('[name=id]', USER)
  await page.click('.query button[type=submit]')
  await page.waitForSelector('[data-testid=connection-count] >> text=10 connections of 3600')
  expect(await page.locator('tbody tr').count()).toBe(10)

  await page.click('text=Disconnect …')
  await page.fill('dialog [name=reason]', hostile)
  await page.click('dialog button[type=submit]')
  await page.waitForSelector('[data-testid=connection-count] >> text=0 connections of 3600')
  for (const client of clients) expect(await client.end()).toEqual({ code: 4403, reason: hostile })

  await open('audit')
  const entry = page.locator('tr[data-act=disconnect]').first()
  await entry.waitFor()
  expect(await entry.textContent()).toContain(hostile)
  expect(await attacked(page)).toBe(false)
})

browserTest('a setting takes effect on every instance, and one out of bounds does not', async () => {
  const { page } = tab
  await open('settings')
  const row = page.locator('tr[data-setting="auction-push.idle_timeout_ms"]')
  await row.waitFor()
  await eventually(async () => (await row.locator('td').nth(1).textContent()) === '30000')
  const input = row.locator('input')
  await input.fill('999')
  await row.locator('text=Set').click()
  expect(
    await input.evaluate(
      (element: { validity: { rangeUnderflow: boolean } }) => element.validity.rangeUnderflow,
    ),
  ).toBe(true)
  await input.fill('60000')
  await row.locator('text=Set').click()
  await eventually(async () => {
    await page.click('text=Read again')
    return (await row.locator('td').nth(1).textContent()) === '60000'
  })
})

browserTest('what is published is seen by a test user, byte for byte', async () => {
  tried = await openTab(browser, `http://127.0.0.1:${server.port()}/#try-it`)
  const frames = tried.page.locator('.frames')
  await tried.page.click('button:text-is("Connect")')
  await tried.page.waitForSelector('.dot.good >> text=connected')
  await tried.page.click('button:text-is("Subscribe")')
  await frames.locator('li.in >> text=success').waitFor()
  expect(await frames.locator('li.out').first().textContent()).toContain('auction_subscribe')

  const { page } = tab
  await open('publish')
  await page.selectOption('[name=channel]', 'auction.bid')
  await page.fill('[name=param-auctionId]', '3607')
  const payload = { amount: 1320000, nickName: hostile, avatar: '', userId: 3600, auctionId: 3607 }
  await page.fill('[name=payload]', JSON.stringify({ ...payload, amount: 'much' }))
  await page.waitForSelector('.errors >> text=/amount')
  expect(await page.isDisabled('.publish button[type=submit]')).toBe(true)
  await page.fill('[name=payload]', JSON.stringify(payload))
  await page.click('.publish button[type=submit]')
  await page.waitForSelector('[data-testid=published] >> text=auction.3607.bid')

  const push = `{"data":${JSON.stringify(payload)},"event":"bid"}`
  await eventually(async () => (await frames.locator('li.in code').allTextContents()).includes(push))
  expect(await attacked(tried.page)).toBe(false)
})

browserTest('a test user that is disconnected is told the code and the reason, and stays away', async () => {
  const { page } = tab
  await open('look-up')
  await page.fill('[name=id]', USER)
  await page.click('.query button[type=submit]')
  await page.waitForSelector('[data-testid=connection-count] >> text=1 connection of 3600')
  await page.click('text=Disconnect …')
  await page.fill('dialog [name=reason]', hostile)
  await page.click('dialog button[type=submit]')
  const state = tried.page.locator('.frames li.state').first()
  await eventually(async () => (await state.textContent())?.includes(`closed: 4403 ${hostile}`))
  expect(await attacked(tried.page)).toBe(false)
})

browserTest('an instance that was killed is gone from the table', async () => {
  const { page } = tab
  await open('overview')
  await eventually(async () => (await page.locator('tr[data-instance]').count()) === 2)
  other.signal('SIGKILL')
  // Seven seconds after its last announcement, on a machine that keeps up.
  await eventually(async () => (await page.locator('tr[data-instance]').count()) === 1)
  expect(await page.getAttribute('tr[data-instance]', 'data-instance')).toBe(auction.instanceId)
})

browserTest('NATS away is said on the page, and that it is back', async () => {
  const { page } = tab
  await nats.halt()
  await page.waitForSelector('.notices >> text=NATS is away')
  expect(await page.locator('tr[data-instance]').count()).toBe(1)
  await nats.resume()
  await page.waitForSelector('.dot.good >> text=NATS')
  await eventually(async () => (await page.locator('.notices .alert').count()) === 0)
})

browserTest('nothing of it was an error, or against the Content-Security-Policy', () => {
  expect([...tab.problems, ...tried.problems]).toEqual([])
})
