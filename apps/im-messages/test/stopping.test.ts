import { type ChildProcess, spawn } from 'node:child_process'
import { NoResponders } from '@carillon/bus'
import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Coded, Stage } from './stage.ts'

/** So many that some are on their way at any moment. */
const SENDERS = 500

let stage: Stage
let child: ChildProcess | undefined
beforeEach(async () => {
  stage = await Stage.open('PGlite')
})
afterEach(async () => {
  child?.kill('SIGKILL')
  await stage.close()
})

test('SIGTERM with requests under way: each is answered, or was never taken', async () => {
  child = spawn(
    process.execPath,
    ['--conditions=source', '--import', 'tsx', new URL('../src/main.ts', import.meta.url).pathname],
    {
      env: { ...process.env, ...stage.environment(), NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  const exitCode = new Promise((resolve) => child?.once('exit', (code) => resolve(code)))
  await eventually(async () => (await stage.putGroup('group:a', ['ann'])).error_code === 0, 60_000)
  const ann = stage.user('ann')
  const answered: string[] = []
  const notTaken: string[] = []
  const others: string[] = []
  // Each goes on until nobody takes its messages any more.
  const senders = Array.from({ length: SENDERS }, async () => {
    for (;;) {
      const message = ann.message('group:a', 'x')
      const id = message.clientMsgId as string
      try {
        await ann.sendAll([message])
        answered.push(id)
      } catch (error) {
        if (!(error instanceof NoResponders)) others.push(error instanceof Coded ? error.code : String(error))
        else return notTaken.push(id)
      }
    }
  })
  await eventually(() => answered.length > 2_000)
  child.kill('SIGTERM')
  await Promise.all(senders)
  expect(await exitCode).toBe(0)
  expect(others).toEqual([])
  expect(notTaken).toHaveLength(SENDERS)

  await stage.service()
  expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe(String(answered.length))
  for (const clientMsgId of notTaken) expect(await ann.get({ clientMsgId })).toBeUndefined()
})
