import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { limits } from '../src/limits.ts'
import { firstMessagesAt } from '../src/store/history.ts'
import { AS_GATEWAYS_WAIT, engines, type MessageService, Stage } from './stage.ts'

const LARGE = 'x'.repeat(60_000)

describe.each(engines)('a small request does not make much of others, on %s', (engine) => {
  let stage: Stage
  let service: MessageService
  beforeAll(async () => {
    stage = await Stage.open(engine)
    service = await stage.service()
    await stage.putGroup('group:a', ['ann', 'bob'])
    const ann = stage.user('ann')
    for (let i = 0; i < 20; i++) await ann.send('group:a', LARGE, { clientMsgId: `large-${i}` })
  })
  afterAll(() => stage.close())

  test('sent again many times over: what comes back is bounded', async () => {
    const ann = stage.user('ann')
    const inbox = await stage.inbox('ann')
    const again = (id: string) => ann.message('group:a', 'x', { clientMsgId: id })
    await ann.sendAll(Array.from({ length: 20 }, (_, i) => again(`large-${i}`)))
    // A later one is pushed behind all that this one caused.
    await ann.sendAll(Array.from({ length: 200 }, () => again('large-7')))
    await eventually(() => inbox.messages.at(-1)?.clientMsgId === 'large-7')
    expect(inbox.messages.map(({ seq }) => seq)).toEqual(['1', '8'])
    // Of small ones, all come.
    const small = Array.from({ length: 100 }, (_, i) => again(`small-${i}`))
    await ann.sendAll(small)
    await ann.sendAll(small)
    await eventually(() => inbox.messages.length === 102)
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('120')
  })

  test('messages that are not stored are pushed together', async () => {
    const pushed = await stage.conversation('group:a')
    const ann = stage.user('ann')
    const typing = { options: { storageForServer: false } }
    await ann.sendAll(Array.from({ length: 200 }, (_, i) => ann.message('group:a', `${i}`, typing)))
    await eventually(() => pushed.messages.length === 200)
    expect(pushed.messages.map(({ content }) => Number(Buffer.from(content).toString()))).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    )
    expect(pushed.seqHeaders).toEqual([undefined])
  })

  test('messages that do not fit into an answer are not read', async () => {
    const places = Array.from({ length: 20 }, (_, i) => ({ convId: 'group:a', seq: 20 - i }))
    const found = await service.database.run((session) => firstMessagesAt(session, places, 130_000))
    expect(found.map(({ seq }) => seq).sort((a, b) => b - a)).toEqual([20, 19, 18])
    const one = await service.database.run((session) => firstMessagesAt(session, places, 0))
    expect(one.map(({ seq }) => seq)).toEqual([20])
    const fromBoth = [
      ...(await stage.user('bob').sync('group:a', ['1', '9999', '20'])).map(({ seq, clientMsgId }) => [
        seq,
        clientMsgId,
      ]),
    ]
    expect(fromBoth).toEqual([
      ['9999', ''],
      ['20', 'large-19'],
      ['1', 'large-0'],
    ])
  })

  test('a large notice goes to so many users at a time, and is published in portions', async () => {
    const notice = { convId: 'notice:a', title: LARGE, contentType: 1, content: '' }
    const send = (count: number) =>
      stage.bus.request(
        im.noticeSend,
        {},
        { userIds: Array.from({ length: count }, (_, i) => `many_${i}`), notice },
        AS_GATEWAYS_WAIT,
      )
    let told = 0
    stage.bus.subscribe(im.pushUser, {}, () => (told += 1))
    await stage.bus.roundTrip()
    expect(await send(Math.ceil(limits.noticeBatchBytesMax / LARGE.length) + 1)).toMatchObject({
      error_code: -1,
      error_reason: expect.stringContaining('for all its users together'),
    })
    expect(await send(150)).toMatchObject({ error_code: 0 })
    await eventually(() => told >= 150, 200_000)
    const { notices } = await stage.user('many_149').pending()
    expect(notices.map(({ title }) => title.length)).toEqual([LARGE.length])
  })
})
