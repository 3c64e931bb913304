import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { tableRows } from '@carillon/testkit'
import { afterAll, expect, test } from '@jest/globals'
import { build, stop } from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const page = readFileSync(resolve(root, 'README.md'), 'utf8')
const documented = new Map(
  tableRows(page, 'Sizes').map(([entry, bytes]) => [entry as string, Number.parseFloat(bytes ?? '')]),
)

afterAll(() => stop())

/** What a bundle weighs that uses one client, minified and gzipped, in kilobytes of 1000 bytes. */
async function weigh(code: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['source'],
  })
  return gzipSync(outputFiles[0]?.contents as Uint8Array, { level: 9 }).length / 1_000
}

test.each([
  ['AuctionClient', '@carillon/client/auction', 6],
  ['QuoteClient', '@carillon/client/quote', 6],
  ['VoiceRoomClient', '@carillon/client/voice', 9],
  ['ImClient', '@carillon/client/im', 12],
  ['CampusDevice', '@carillon/client/campus', 20],
])('%s is small, and its size is what the README says', async (name, entry, kilobytesMax) => {
  const kilobytes = await weigh(`export { ${name} } from './src/${entry.split('/').pop()}/index.ts'`)
  expect(kilobytes).toBeLessThan(kilobytesMax)
  // A compressor's version may change a little.
  expect(Math.abs(kilobytes - (documented.get(`\`${entry}\``) ?? 0))).toBeLessThan(0.25)
})

test('the main entry holds no more than what is used of it', async () => {
  const alone = await weigh("export { AuctionClient } from './src/index.ts'")
  expect(alone).toBeLessThan(6)
})
