import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { limits } from '../src/limits.ts'
import { AS_GATEWAYS_WAIT, engines, Stage } from './stage.ts'

const DAY_S = 86_400

describe.each(engines)('delayed messages on %s', (engine) => {
  let stage: Stage
  beforeEach(async () => {
    stage = await Stage.open(engine)
  })
  afterEach(() => stage.close())

  test('they are sent when due, across a restart, in the order of their times', async () => {
    const first = await stage.service()
    await stage.putGroup('group:a', ['ann', 'bob'])
    const pushed = await stage.conversation('group:a')
    const ann = stage.user('ann')
    const late = ann.message('group:a', 'late')
    await ann.sendAll([late, ann.message('group:a', 'later in the same batch')], 10 * DAY_S)
    await ann.sendAll([ann.message('group:a', 'soon')], DAY_S)
    await ann.send('group:a', 'now')
    await eventually(() => pushed.messages.length === 1)
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('1')
    // Known under its id already: not accepted twice, and not to be had before its time.
    await ann.sendAll([late])
    await ann.sendAll([late], 5)
    expect(await ann.get({ clientMsgId: late.clientMsgId as string })).toBeUndefined()
    await first.stop()

    stage.clock.move(DAY_S * 1_000)
    await stage.service()
    await eventually(() => pushed.messages.length === 2)
    stage.clock.move(9 * DAY_S * 1_000 - 1)
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('2')
    stage.clock.move(1)
    await eventually(() => pushed.messages.length === 4)
    expect(pushed.messages.map(({ content }) => Buffer.from(content).toString())).toEqual([
      'now',
      'soon',
      'late',
      'later in the same batch',
    ])
    expect(pushed.seqs).toEqual(['1', '2', '3', '4'])
    expect(pushed.messages[2]?.serverTime).toBe(String(stage.clock.now()))
    await ann.sendAll([late])
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('4')
  })

  test('what was accepted is sent, also when its sender has left; what is not stored is pushed when due', async () => {
    await stage.service()
    await stage.putGroup('group:a', ['ann', 'bob'])
    const pushed = await stage.conversation('group:a')
    const bob = stage.user('bob')
    await bob.sendAll(
      [bob.message('group:a', 'stored'), bob.message('group:a', 'fleeting', { options: {} })],
      60,
    )
    await stage.bus.request(
      im.convRemoveMembers,
      {},
      { convId: 'group:a', members: ['bob'] },
      AS_GATEWAYS_WAIT,
    )
    stage.clock.move(60_000)
    await eventually(() => pushed.messages.length === 2)
    expect(pushed.messages.map(({ seq }) => seq)).toEqual(['1', '0'])
  })

  test('so many messages of a user may wait; those that do may be sent again, and services may have more', async () => {
    await stage.service()
    await stage.putGroup('group:a', ['ann', 'bob'])
    const ann = stage.user('ann')
    const batch = () => Array.from({ length: 200 }, () => ann.message('group:a', 'x'))
    const first = batch()
    await ann.sendAll(first, 60)
    for (let count = 200; count < limits.delayedMessagesMax; count += 200) await ann.sendAll(batch(), 60)
    const refused = {
      code: 'RequestError',
      message: `more than ${limits.delayedMessagesMax} messages wait until they are due`,
    }
    await expect(ann.sendAll([ann.message('group:a', 'x')], 60)).rejects.toMatchObject(refused)
    await ann.sendAll(first, 60)
    await ann.send('group:a', 'now')
    const bob = stage.user('bob')
    await bob.sendAll([bob.message('group:a', 'x')], 60)
    const message = { convId: 'group:a', senderId: 'ann', contentType: 1, content: '' }
    const sent = await stage.bus.request(
      im.msgSend,
      {},
      { msgDataList: [message], deliverAfter: 60 },
      AS_GATEWAYS_WAIT,
    )
    expect(sent.error_code).toBe(0)
    stage.clock.move(60_000)
    const all = String(limits.delayedMessagesMax + 3)
    await eventually(async () => (await ann.seqs(['group:a']))['group:a']?.maxSeq === all, 60_000)
    await ann.sendAll([ann.message('group:a', 'x')], 60)
  })

  test('more than ten days, and less than none, are refused', async () => {
    await stage.service()
    await stage.putGroup('group:a', ['ann'])
    const ann = stage.user('ann')
    for (const deliverAfter of [864_001, -1, 2_147_483_647, -2_147_483_648]) {
      await expect(ann.sendAll([ann.message('group:a', 'x')], deliverAfter)).rejects.toMatchObject({
        code: 'RequestError',
        message: 'deliverAfter must be from 0 to 864000 seconds',
      })
    }
    await ann.sendAll([ann.message('group:a', 'x')], 864_000)
    await ann.sendAll([ann.message('group:a', 'x')], 0)
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('1')
  })
})
