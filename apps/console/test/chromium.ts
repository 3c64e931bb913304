import { test } from '@jest/globals'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const executablePath = process.env.CHROMIUM

/** Skipped where there is no Chromium. */
export const browserTest = executablePath ? test : test.skip

export async function launchChromium(): Promise<Browser | undefined> {
  if (!executablePath) return undefined
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ]
  return chromium.launch({ executablePath, args })
}

/** A tab, and everything in it that should not have happened: errors, and what its Content-Security-Policy refused. */
export interface Tab {
  readonly page: Page
  readonly problems: string[]
}

export async function openTab(
  browser: Browser | undefined,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Tab> {
  if (browser === undefined) throw new Error('there is no browser')
  const context = await browser.newContext(options)
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text())
  })
  await page.goto(url)
  return { page, problems }
}

/** Set by what a hostile name would run, had it become more than text. */
export const attacked = (page: Page): Promise<boolean> => page.evaluate('"attacked" in window')
