import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { engines, Stage } from './stage.ts'

describe.each(engines)('messages on %s', (engine) => {
  let stage: Stage
  beforeAll(async () => {
    stage = await Stage.open(engine)
    await stage.service()
  }, 60_000)
  afterAll(() => stage.close())

  test('a message gets its place, is stored, and is pushed with what the server sets', async () => {
    await stage.putGroup('group:a', ['ann', 'bob'])
    const pushed = await stage.conversation('group:a')
    const ann = stage.user('ann')
    const clientMsgId = await ann.send('group:a', 'hello', {
      senderId: 'mallory',
      seq: '77',
      serverMsgId: 'forged',
      serverTime: '1',
    })
    await eventually(() => pushed.messages.length === 1)
    const [message] = pushed.messages
    expect(message).toMatchObject({
      clientMsgId,
      senderId: 'ann',
      seq: '1',
      serverMsgId: 'group:a-1',
      serverTime: String(stage.clock.now()),
      convId: 'group:a',
    })
    expect(Buffer.from(message?.content ?? []).toString()).toBe('hello')
    expect(message?.options?.storageForServer).toBe(true)
    expect(message?.offlinePush).toBeTruthy()
    expect(pushed.seqHeaders).toEqual(['1'])
    expect(await stage.user('bob').get({ serverMsgId: 'group:a-1' })).toEqual(message)
    expect(await ann.get({ clientMsgId })).toEqual(message)
    expect(await ann.get({ serverMsgId: 'group:a-2' })).toBeUndefined()
    expect(await ann.get({ clientMsgId: 'nothing' })).toBeUndefined()
  })

  test('sequence numbers run 1, 2, 3 … through a storm of batches, and come in order', async () => {
    await stage.putGroup('group:storm', ['u0', 'u1', 'u2', 'u3'])
    const pushed = await stage.conversation('group:storm')
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const user = stage.user(`u${i % 4}`)
        await user.sendAll(Array.from({ length: 1 + (i % 5) }, () => user.message('group:storm', `${i}`)))
      }),
    )
    const total = Array.from({ length: 60 }, (_, i) => 1 + (i % 5)).reduce((a, b) => a + b)
    await eventually(() => pushed.messages.length === total)
    expect(pushed.seqs).toEqual(Array.from({ length: total }, (_, i) => String(i + 1)))
    const { 'group:storm': entry } = await stage.user('u1').seqs(['group:storm'])
    expect(entry).toMatchObject({ minSeq: '0', maxSeq: String(total), updateTime: String(stage.clock.now()) })
  })
})
