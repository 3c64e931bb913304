import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Browser, Page } from 'playwright-core'
import { attacked, browserTest, launchChromium, openTab } from '../chromium.ts'
import { hostile } from './fake-answers.ts'
import { FakeConsole } from './fake-console.ts'

const dist = resolve(import.meta.dirname, '../../web/dist')

let fake: FakeConsole
let browser: Browser | undefined

beforeAll(async () => {
  fake = await FakeConsole.start({ instances: 50 })
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await fake.stop()
})

const open = (page: Page, view: string) => page.click(`nav a[href="#${view}"]`)

test('the whole page is smaller than 100 KB, compressed', () => {
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.gz'),
  )
  const bytes = files.reduce((sum, name) => sum + readFileSync(join(dist, name)).length, 0)
  expect(files.length).toBeGreaterThanOrEqual(3)
  expect(bytes).toBeLessThan(100_000)
})

test('the page has no script or style in itself', () => {
  const html = readFileSync(join(dist, 'index.html'), 'utf8')
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:|data:/i)
  expect([...html.matchAll(/<script[^>]*>([^<]*)</g)].map(([, code]) => code?.trim())).toEqual([''])
})

browserTest('names that are HTML are text, in every view', async () => {
  const { page, problems } = await openTab(browser, fake.url)
  fake.fleet.instances = fake.fleet.instances.map((each, index) =>
    index === 0 ? { ...each, instance_id: hostile, region: hostile, version: hostile } : each,
  )
  await eventually(async () => (await page.textContent('.figures'))?.includes('50') ?? false)
  await page.click('button.fold >> nth=0')
  await page.waitForSelector(`td.version >> text=window.attacked`)

  const lookUps = ['user', 'room', 'device', 'conversation', 'topic']
  await open(page, 'look-up')
  for (const kind of lookUps) {
    await page.check(`input[value=${kind}]`)
    await page.fill('[name=id]', 'x')
    await page.click('.query button[type=submit]')
    await page.waitForSelector('.outcome >> text=window.attacked')
  }
  await open(page, 'audit')
  await page.waitForSelector('.target >> text=window.attacked')
  await open(page, 'publish')
  await page.click('.publish button[type=submit]')
  await page.waitForSelector('pre >> text=window.attacked')

  expect(await attacked(page)).toBe(false)
  expect(await page.locator('main img, main script').count()).toBe(0)
  expect(problems).toEqual([])
})

browserTest('every act carries the header that other sites cannot send', () => {
  expect(fake.acts.map(({ route }) => route)).toContain('POST /api/publish')
  for (const { header } of fake.acts) expect(header).toBe('1')
})

browserTest('a session that ends gives way to a form; the token is in no URL', async () => {
  const token = 'a-token.of-the.test'
  const { page } = await openTab(browser, fake.url)
  await page.waitForSelector('.figures')
  const urls: string[] = []
  page.on('request', (request) => urls.push(request.url()))
  fake.token = token
  await open(page, 'settings')
  await page.waitForSelector('text=Your session has ended')
  await page.fill('input[type=password]', 'wrong')
  await page.click('text="Sign in" >> nth=-1')
  await page.waitForSelector('[role=alert] >> text=The token is not valid.')
  expect(await page.inputValue('input[type=password]')).toBe('')
  await page.fill('input[type=password]', token)
  await page.keyboard.press('Enter')
  await page.waitForSelector('tr[data-setting]')
  expect(urls.filter((url) => url.includes(token))).toEqual([])
  expect(page.url()).not.toContain(token)
})

browserTest('by keyboard alone: skip, choose a view, look up', async () => {
  const { page } = await openTab(browser, fake.url)
  await page.waitForSelector('nav a')
  const focused = (): Promise<string> => page.evaluate('document.activeElement.textContent')
  await page.keyboard.press('Tab')
  expect(await focused()).toBe('Skip to the content')
  for (const name of ['Overview', 'Look up']) {
    await page.keyboard.press('Tab')
    expect(await focused()).toBe(name)
  }
  await page.keyboard.press('Enter')
  await page.waitForSelector('[name=id]')
  await page.focus('input[value=user]')
  await page.keyboard.press('ArrowRight')
  expect(await page.isChecked('input[value=room]')).toBe(true)
  await page.keyboard.press('Tab')
  await page.keyboard.type('lobby')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.outcome table')
})

browserTest('nothing is wider than a phone, in any view', async () => {
  const { page } = await openTab(browser, fake.url, { viewport: { width: 360, height: 780 } })
  for (const view of ['overview', 'look-up', 'settings', 'publish', 'try-it', 'audit']) {
    await open(page, view)
    await page.waitForSelector(`nav a[href="#${view}"][aria-current=page]`)
    await page.waitForSelector('main .card')
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360)
  }
})

browserTest('the theme is the system’s until another is chosen, which is kept', async () => {
  const { page } = await openTab(browser, fake.url, { colorScheme: 'dark' })
  const theme = () => page.getAttribute('html', 'data-theme')
  expect(await theme()).toBe('dark')
  await page.click('[aria-label="Switch to light colours"]')
  await eventually(async () => (await theme()) === 'light')
  await page.reload()
  expect(await theme()).toBe('light')
})

browserTest('the shown page takes less than a tenth of a core, with 50 instances', async () => {
  const { page } = await openTab(browser, fake.url, { viewport: { width: 1440, height: 900 } })
  await page.waitForSelector('table.instances')
  // Each snapshot that is shown, by its time. The page tells: asking it would cost it something.
  const shown = new Set<number>()
  await page.exposeFunction('noteSnapshot', (at: string) => shown.add(Number(at)))
  await page.evaluate(`{
    const table = document.querySelector('table.instances')
    new MutationObserver(() => noteSnapshot(table.dataset.at)).observe(table, { attributeFilter: ['data-at'] })
  }`)
  /** How many seconds these lie apart. */
  const snapshots = async (count: number) => {
    shown.clear()
    await eventually(() => shown.size >= count)
    return (Math.max(...shown) - Math.min(...shown)) / 1_000
  }
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  /** Seconds of processor time of the page's process. */
  const processorTime = async () => {
    const { metrics } = await session.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'ProcessTime')?.value ?? Number.NaN
  }
  // What else runs on the machine makes the page dearer, never cheaper.
  await eventually(async () => {
    const before = await processorTime()
    const seconds = await snapshots(6)
    // One a second, and not one now and then.
    expect(seconds).toBeLessThan(12)
    return (await processorTime()) - before < 0.1 * seconds
  }, 60_000)
})
