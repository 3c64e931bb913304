// npm test: set-up, lint, types and every test.
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, chromium, execute, install, main, natsServer, root } from './setup.mjs'

await main(async () => {
  await install()
  await build()
  const env = { NATS_SERVER: await natsServer(), NODE_OPTIONS: '--experimental-vm-modules --no-warnings' }
  const browser = chromium()
  if (browser) env.CHROMIUM = browser
  else
    console.log('No Chromium here: the browser tests are skipped. Put one on PATH, or name it in CHROMIUM.')
  console.log('Linting …')
  await execute('biome', ['check', '.'], { quiet: true })
  console.log('Checking types …')
  await execute('tsc', ['--noEmit'], { quiet: true })
  const results = join(mkdtempSync(join(tmpdir(), 'carillon-test-')), 'results.json')
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js')
  // A failed test may leave something open behind it; that must not hold up the result.
  const args = [jest, '--forceExit', '--json', `--outputFile=${results}`, ...process.argv.slice(2)]
  const failure = await execute(process.execPath, args, { env }).catch((error) => error)
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(results, 'utf8'))
  const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : ''
  console.log(`${numPassedTests} passed, ${numFailedTests} failed${skipped}`)
  if (failure) process.exit(1)
})
