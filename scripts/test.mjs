// npm test: set-up, lint, types and every test. Its last line is always `N passed, N failed`.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { availableParallelism, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { build, chromium, execute, install, main, natsServer, root } from './setup.mjs'

const WORKERS_MAX = 8
/** A worker holds the modules of many test files, and starts servers beside. */
const BYTES_PER_WORKER = 1_500_000_000

await main(async () => {
  await install()
  await build()
  const env = { NATS_SERVER: await natsServer(), NODE_OPTIONS: '--experimental-vm-modules --no-warnings' }
  const browser = chromium()
  if (browser) env.CHROMIUM = browser
  else
    console.log('No Chromium here: the browser tests are skipped. Put one on PATH, or name it in CHROMIUM.')
  const checks = [
    await passes('Linting', 'biome', ['check', '.']),
    await passes('Checking types', 'tsc', ['--noEmit']),
  ]
  const tests = await runTests(process.argv.slice(2), env)
  const failed = tests.failed + checks.filter((passed) => !passed).length
  if (tests.skipped > 0) console.log(`${tests.skipped} skipped`)
  console.log(`${tests.passed} passed, ${failed} failed`)
  if (failed > 0 || !tests.completed) process.exit(1)
})

/** Runs a check that is not a test; what it complains about is shown, and the tests run all the same. */
async function passes(title, command, args) {
  console.log(`${title} …`)
  try {
    await execute(command, args, { quiet: true })
    return true
  } catch (error) {
    console.log(error.message)
    return false
  }
}

/**
 * Runs the tests. Files with a failure are run once more, one at a time: a failure that comes back counts, one
 * that does not is named as flaky, because a test that passes only on a quiet machine is a defect too.
 */
async function runTests(args, env) {
  const limited = args.some((arg) => /^(-w|--maxWorkers|-i|--runInBand)/.test(arg))
  const first = await jest(limited ? args : [`--maxWorkers=${workers()}`, ...args], env)
  if (first.completed || first.failedFiles.length === 0) return first
  console.log(`Running the failed files once more, one at a time (${first.failedFiles.length}) …`)
  const second = await jest(['--runInBand', '--runTestsByPath', ...first.failedFiles], env)
  const failedAgain = new Set(second.failedTests)
  for (const name of first.failedTests.filter((name) => !failedAgain.has(name)))
    console.log(`Flaky, failed only at first: ${name}`)
  return {
    ...second,
    passed: first.passed + second.passed - first.passedInFailedFiles,
    skipped: first.skipped,
  }
}

async function jest(args, env) {
  const results = join(mkdtempSync(join(tmpdir(), 'carillon-test-')), 'results.json')
  const program = join(root, 'node_modules', 'jest', 'bin', 'jest.js')
  // A failed test may leave something open behind it; that must not hold up the result.
  const options = ['--forceExit', '--json', `--outputFile=${results}`]
  const completed = await execute(process.execPath, [program, ...options, ...args], { env }).then(
    () => true,
    () => false,
  )
  if (!existsSync(results)) {
    console.log('Jest ended without a result.')
    return { passed: 0, failed: 1, skipped: 0, completed, failedFiles: [] }
  }
  const report = JSON.parse(readFileSync(results, 'utf8'))
  const failedFiles = report.testResults.filter(({ status }) => status === 'failed')
  const testsOf = (status) =>
    failedFiles.flatMap((file) => file.assertionResults.filter((test) => test.status === status))
  return {
    passed: report.numPassedTests,
    // A file that could not be run has no tests that failed.
    failed: report.numFailedTests + report.numRuntimeErrorTestSuites,
    skipped: report.numPendingTests,
    completed,
    failedFiles: failedFiles.map(({ name }) => name),
    failedTests: testsOf('failed').map(({ fullName }) => fullName),
    passedInFailedFiles: testsOf('passed').length,
  }
}

/** Tests wait more than they compute, so that two fit on two cores; memory bounds them on small machines. */
function workers() {
  const cores = availableParallelism()
  const byCores = cores <= 2 ? cores : cores - 1
  const memory = Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY)
  const byMemory = Math.floor(memory / BYTES_PER_WORKER)
  return Math.max(1, Math.min(byCores, byMemory, WORKERS_MAX))
}
