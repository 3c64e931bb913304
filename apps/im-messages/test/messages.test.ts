import { im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { sql } from 'kysely'
import { AS_GATEWAYS_WAIT, engines, type MessageService, Stage } from './stage.ts'

describe.each(engines)('messages on %s', (engine) => {
  let stage: Stage
  let service: MessageService
  beforeAll(async () => {
    stage = await Stage.open(engine)
    service = await stage.service()
  })
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
    expect(entry).toMatchObject({
      minSeq: '0',
      maxSeq: String(total),
      updateTime: String(stage.clock.now()),
    })
  })

  test('the same clientMsgId again is no second message: its sender gets the first one again', async () => {
    await stage.putGroup('group:twice', ['ann', 'bob'])
    const inbox = await stage.inbox('ann')
    const ann = stage.user('ann')
    const once = ann.message('group:twice', 'first')
    await Promise.all([ann.sendAll([once]), ann.sendAll([once])])
    await ann.sendAll([{ ...once, content: Buffer.from('second') }, ann.message('group:twice', 'other')])
    await eventually(() => inbox.messages.length >= 2)
    for (const echo of inbox.messages) {
      expect(echo).toMatchObject({ clientMsgId: once.clientMsgId, serverMsgId: 'group:twice-1', seq: '1' })
      expect(Buffer.from(echo.content).toString()).toBe('first')
    }
    // Bob may use the same id: it is the sender's own.
    await stage.user('bob').sendAll([{ ...once }])
    expect((await ann.seqs(['group:twice']))['group:twice']?.maxSeq).toBe('3')
  })

  test('a batch is stored whole or not at all', async () => {
    await stage.putGroup('group:whole', ['ann'])
    const ann = stage.user('ann')
    const fine = ann.message('group:whole', 'fine')
    for (const bad of [
      ann.message('group:strangers', 'not a member'),
      ann.message('single:bob-carl', 'two others'),
      ann.message('notice:system', 'a notice channel'),
      ann.message('group:whole', 'no id', { clientMsgId: '' }),
    ]) {
      await expect(ann.sendAll([fine, bad])).rejects.toMatchObject({ code: expect.stringMatching(/Error$/) })
    }
    expect((await ann.seqs(['group:whole']))['group:whole']?.maxSeq).toBe('0')
    expect(await ann.get({ clientMsgId: fine.clientMsgId as string })).toBeUndefined()
    // Not even an empty conversation is left behind, for whoever the other one of the two is.
    const toZoe = ann.message('single:ann-zoe', 'hi')
    await expect(ann.sendAll([toZoe, ann.message('group:strangers', 'x')])).rejects.toMatchObject({
      code: 'AuthError',
    })
    const { rows } = await service.database.run((session) =>
      sql`select conv_id from conversations where conv_id = 'single:ann-zoe'
        union all select conv_id from members where conv_id = 'single:ann-zoe'
        union all select conv_id from outbox where conv_id = 'single:ann-zoe'`.execute(session),
    )
    expect(rows).toEqual([])
    await ann.sendAll([toZoe])
    expect((await stage.user('zoe').seqs(['single:ann-zoe']))['single:ann-zoe']?.maxSeq).toBe('1')
  })

  test('a conversation of two comes into being with its first message; nobody else is in it', async () => {
    const pushed = await stage.conversation('single:amy-ben')
    await stage.user('ben').send('single:amy-ben', 'hi')
    await eventually(() => pushed.messages.length === 1)
    expect((await stage.user('amy').seqs(['single:amy-ben']))['single:amy-ben']?.maxSeq).toBe('1')
    const carl = stage.user('carl')
    await expect(carl.send('single:amy-ben', 'me too')).rejects.toMatchObject({ code: 'AuthError' })
    await expect(carl.sync('single:amy-ben', [1])).rejects.toMatchObject({ code: 'AuthError' })
    await expect(carl.get({ serverMsgId: 'single:amy-ben-1' })).rejects.toMatchObject({ code: 'AuthError' })
    await expect(stage.user('ben').send('single:ben-amy', 'wrong order')).rejects.toMatchObject({
      code: 'RequestError',
    })
  })

  test('members see what was sent while they are members', async () => {
    await stage.putGroup('group:late', ['ann', 'bob'])
    const [ann, bob, carl] = ['ann', 'bob', 'carl'].map((userId) => stage.user(userId)) as [
      ReturnType<Stage['user']>,
      ReturnType<Stage['user']>,
      ReturnType<Stage['user']>,
    ]
    await ann.send('group:late', 'before')
    const members = { convId: 'group:late', members: ['carl'] }
    expect(await stage.bus.request(im.convAddMembers, {}, members, AS_GATEWAYS_WAIT)).toMatchObject({
      error_code: 0,
    })
    await ann.send('group:late', 'after')
    expect((await carl.seqs(['group:late']))['group:late']).toMatchObject({ minSeq: '1', maxSeq: '2' })
    const [after, before] = await carl.sync('group:late', [1, 2])
    expect(Buffer.from(after?.content ?? []).toString()).toBe('after')
    expect(before).toMatchObject({ serverMsgId: 'group:late-1', seq: '1', serverTime: '0', clientMsgId: '' })
    expect(await carl.get({ serverMsgId: 'group:late-1' })).toBeUndefined()

    const own = await bob.send('group:late', 'mine')
    await stage.bus.request(
      im.convRemoveMembers,
      {},
      { convId: 'group:late', members: ['bob'] },
      AS_GATEWAYS_WAIT,
    )
    await expect(bob.send('group:late', 'still?')).rejects.toMatchObject({ code: 'AuthError' })
    await expect(bob.sync('group:late', [1])).rejects.toMatchObject({ code: 'AuthError' })
    await expect(bob.get({ serverMsgId: 'group:late-1' })).rejects.toMatchObject({ code: 'AuthError' })
    expect(await bob.get({ clientMsgId: own })).toBeUndefined()
    expect((await bob.seqs(['group:late']))['group:late']).toMatchObject({ minSeq: '0', maxSeq: '0' })
  })

  test('sync sorts from the highest down, with placeholders for what is not there', async () => {
    await stage.putGroup('group:sync', ['ann'])
    const ann = stage.user('ann')
    await ann.sendAll(['one', 'two', 'three'].map((text) => ann.message('group:sync', text)))
    const answers = await ann.sync('group:sync', ['2', '9', '1', '2', '0'])
    expect(answers.map(({ seq }) => seq)).toEqual(['9', '2', '1', '0'])
    expect(answers[0]).toMatchObject({
      serverMsgId: 'group:sync-9',
      convId: 'group:sync',
      clientTime: '0',
      serverTime: '0',
    })
    await expect(ann.sync('group:sync', ['x'])).rejects.toMatchObject({ code: 'RequestError' })
    const many = Array.from({ length: 201 }, (_, i) => i)
    await expect(ann.sync('group:sync', many)).rejects.toMatchObject({ code: 'RequestError' })
    expect(await ann.sync('group:sync', many.slice(1))).toHaveLength(200)
  })

  test('large messages are cut from an answer, never the first one', async () => {
    await stage.putGroup('group:large', ['ann'])
    const ann = stage.user('ann')
    for (let i = 0; i < 30; i++) await ann.send('group:large', 'x'.repeat(60_000))
    const answers = await ann.sync(
      'group:large',
      Array.from({ length: 30 }, (_, i) => i + 1),
    )
    expect(answers.length).toBeGreaterThan(5)
    expect(answers.length).toBeLessThan(30)
    expect(answers[0]?.seq).toBe('30')
  })

  test('every conversation that is asked for has an entry, in numbers', async () => {
    const strange = ['', '__proto__', "group:'; drop table messages; --", 'group:\0', 'x'.repeat(500)]
    const entries = await stage.user('ann').seqs(['group:unknown', ...strange])
    for (const convId of ['group:unknown', ...strange]) {
      expect(Object.hasOwn(entries, convId) ? entries[convId] : undefined).toMatchObject({
        convId,
        minSeq: '0',
        maxSeq: '0',
        updateTime: '0',
      })
    }
  })

  test('fields that the server does not know survive, in nested messages too', async () => {
    await stage.putGroup('group:future', ['ann'])
    const ann = stage.user('ann')
    const pushed = await stage.conversation('group:future')
    const known = proto.MsgData.encode(ann.message('group:future', 'x', { options: null })).finish()
    // Options { storageForServer: true, 99: "nested" }, field 200: varint 300, field 201: "outer".
    const options = Buffer.from(`08019a0606${Buffer.from('nested').toString('hex')}`, 'hex')
    const message = Buffer.concat([
      known,
      Buffer.from('ca02', 'hex'),
      Buffer.from([options.length]),
      options,
      Buffer.from('c00cac02', 'hex'),
      Buffer.from('ca0c05', 'hex'),
      Buffer.from('outer'),
    ])
    const request = Buffer.concat([Buffer.from([0x12, message.length]), message])
    await ann.ask(im.sendMsgList, request)
    await eventually(() => pushed.messages.length === 1)
    const hex = (each: proto.MsgData | undefined) =>
      [each?.$unknowns, each?.options?.$unknowns].map((list) =>
        list?.map((raw) => Buffer.from(raw).toString('hex')),
      )
    const expected = [
      ['c00cac02', `ca0c05${Buffer.from('outer').toString('hex')}`],
      [`9a0606${Buffer.from('nested').toString('hex')}`],
    ]
    expect(hex(pushed.messages[0])).toEqual(expected)
  })

  test('a message that is not to be stored is pushed without a place', async () => {
    await stage.putGroup('group:typing', ['ann', 'bob'])
    const pushed = await stage.conversation('group:typing')
    const ann = stage.user('ann')
    await ann.send('group:typing', 'typing', { options: { storageForServer: false } })
    await eventually(() => pushed.messages.length === 1)
    expect(pushed.messages[0]).toMatchObject({ seq: '0', senderId: 'ann' })
    expect(pushed.messages[0]?.serverMsgId).toMatch(/^group:typing-u[0-9a-f]{24}$/)
    expect(pushed.seqHeaders).toEqual([undefined])
    expect((await ann.seqs(['group:typing']))['group:typing']?.maxSeq).toBe('0')
    // Without options it is an ordinary message.
    await ann.send('group:typing', 'typed', { options: null })
    await eventually(() => pushed.messages.length === 2)
    expect(pushed.messages[1]).toMatchObject({ seq: '1', options: { storageForServer: true } })
  })

  test('internal services send in the name of users', async () => {
    await stage.putGroup('group:internal', ['ann'])
    const pushed = await stage.conversation('group:internal')
    const message = {
      convId: 'group:internal',
      senderId: 'system',
      clientMsgId: 'welcome-1',
      contentType: 7,
      content: Buffer.from('welcome').toString('base64'),
    }
    const sent = await stage.bus.request(im.msgSend, {}, { msgDataList: [message] }, AS_GATEWAYS_WAIT)
    expect(sent).toEqual({
      error_code: 0,
      error_reason: '',
      msgDataList: [
        {
          convId: 'group:internal',
          clientMsgId: 'welcome-1',
          serverMsgId: 'group:internal-1',
          seq: '1',
          serverTime: String(stage.clock.now()),
        },
      ],
    })
    expect(await stage.bus.request(im.msgSend, {}, { msgDataList: [message] }, AS_GATEWAYS_WAIT)).toEqual(
      sent,
    )
    await eventually(() => pushed.messages.length === 1)
    expect(pushed.messages[0]).toMatchObject({ senderId: 'system', contentType: 7 })
    expect(Buffer.from(pushed.messages[0]?.content ?? []).toString()).toBe('welcome')
    const unknown = { msgDataList: [{ ...message, convId: 'group:nowhere' }] }
    expect(await stage.bus.request(im.msgSend, {}, unknown, AS_GATEWAYS_WAIT)).toMatchObject({
      error_code: -1,
      error_reason: 'there is no conversation group:nowhere',
    })
  })

  test('internal services state who is in a conversation', async () => {
    const put = (convId: string, members: string[]) => stage.putGroup(convId, members)
    expect(await put('group:put', ['ann', 'bob', 'ann'])).toEqual({ error_code: 0, error_reason: '' })
    await stage.user('ann').send('group:put', 'x')
    await put('group:put', ['bob', 'carl'])
    await expect(stage.user('ann').send('group:put', 'y')).rejects.toMatchObject({ code: 'AuthError' })
    expect((await stage.user('bob').seqs(['group:put']))['group:put']?.minSeq).toBe('0')
    expect((await stage.user('carl').seqs(['group:put']))['group:put']?.minSeq).toBe('1')
    const refusals = [
      put('single:ann-bob', ['ann', 'carl']),
      put('notice:system', ['ann']),
      put('nonsense', ['ann']),
      stage.bus.request(
        im.convAddMembers,
        {},
        { convId: 'group:missing', members: ['ann'] },
        AS_GATEWAYS_WAIT,
      ),
      stage.bus.request(
        im.convRemoveMembers,
        {},
        { convId: 'single:ann-bob', members: ['ann'] },
        AS_GATEWAYS_WAIT,
      ),
    ]
    for (const refusal of refusals) {
      expect(await refusal).toEqual({ error_code: -1, error_reason: expect.stringMatching(/./) })
    }
  })
})
