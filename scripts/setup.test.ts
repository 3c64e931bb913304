import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { canListProcesses, ScriptFolder } from './script-run.ts'

let folder: ScriptFolder
beforeEach(async () => {
  folder = await ScriptFolder.create()
})
afterEach(() => folder.remove())

/** A script that runs one program, as the installation and the build are run. */
const runProgram = (...args: string[]) => {
  const body = `import('./scripts/setup.mjs').then(({ main, execute }) =>
    main(() => execute('sh', ['-c', ${JSON.stringify(args.join(' '))}], { quiet: true })))`
  return folder.spawn(process.execPath, ['-e', body])
}

describe('a program that a script runs', () => {
  test('is quiet when it succeeds', async () => {
    const run = runProgram('echo fine')
    expect([await run.ended(), run.output]).toEqual([0, ''])
  })

  test('shows what it said when it fails', async () => {
    const run = runProgram('echo this is why; exit 3')
    expect(await run.ended()).toBe(1)
    expect(run.output).toMatch(/^this is why\nsh -c .* failed with 3\n$/)
  })

  const whereListed = canListProcesses ? test : test.skip
  whereListed('ends with the script that runs it', async () => {
    const run = runProgram('exec sleep 1000')
    await eventually(() => [...folder.processes().values()].includes('sleep 1000'))
    expect(await run.stop('SIGTERM')).toBe(1)
    await eventually(() => folder.processes().size === 0)
  })
})
