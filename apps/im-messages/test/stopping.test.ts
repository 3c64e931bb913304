import { NoResponders } from '@carillon/bus'
import { AppProcess, eventually } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Coded, Stage } from './stage.ts'

/** So many that some are on their way at any moment. */
const SENDERS = 500

let stage: Stage
let app: AppProcess | undefined
beforeEach(async () => {
  stage = await Stage.open('PGlite')
})
afterEach(async () => {
  await app?.stop('SIGKILL')
  await stage.close()
})

test('SIGTERM with requests under way: each is answered, or was never taken', async () => {
  app = await AppProcess.start('im-messages', 'IM_MESSAGES', { ...stage.environment(), LOG_LEVEL: 'fatal' })
  expect(await stage.putGroup('group:a', ['ann'])).toMatchObject({ error_code: 0 })
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
  const exitCode = app.stop('SIGTERM')
  await Promise.all(senders)
  expect(await exitCode).toBe(0)
  expect(others).toEqual([])
  expect(notTaken).toHaveLength(SENDERS)

  await stage.service()
  expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe(String(answered.length))
  for (const clientMsgId of notTaken) expect(await ann.get({ clientMsgId })).toBeUndefined()
})
