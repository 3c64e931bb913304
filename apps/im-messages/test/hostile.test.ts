import { readFileSync } from 'node:fs'
import { encodeList, im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { eventually, publishRaw } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { AS_GATEWAYS_WAIT, type MessageService, Stage } from './stage.ts'

const { Code } = proto.ResponseBody

describe('hostile input', () => {
  let stage: Stage
  let service: MessageService
  beforeAll(async () => {
    stage = await Stage.open('PGlite')
    service = await stage.service()
    await stage.putGroup('group:a', ['ann', 'bob'])
  })
  afterAll(() => stage.close())

  const clientChannels = [im.sendMsgList, im.syncConvSeq, im.syncMsgList, im.ackNotice, im.getMsgById]
  const gatewayChannels = [im.conversations, im.pendingNotices, im.catchUp]

  /** The code of the answer to any bytes. There is always one. */
  const codeOf = async (channel: (typeof clientChannels)[number], payload: Uint8Array) => {
    const reply = await stage.bus.request(channel as typeof im.sendMsgList, {}, payload, {
      timeoutMs: 12_000,
    })
    const { code, data } = proto.rpc.ClientResponse.decode(reply)
    if (code !== Code.Success) {
      const { commonResp } = proto.ErrorResp.decode(data)
      expect(commonResp).toMatchObject({ code, msg: expect.stringMatching(/./) })
    }
    return code
  }
  const asAnn = (data: Uint8Array) =>
    proto.rpc.ClientRequest.encode({
      caller: { userId: 'ann', platform: 'ios', deviceId: 'd' },
      data,
    }).finish()
  /** Nothing that anybody sends is our own mistake. */
  const sane = (code: number) => expect([Code.Success, Code.RequestError, Code.AuthError]).toContain(code)

  test('random bytes, as request and as its data', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        for (const channel of clientChannels) {
          sane(await codeOf(channel, bytes))
          sane(await codeOf(channel, asAnn(bytes)))
        }
        for (const channel of gatewayChannels) {
          const reply = await stage.bus.request(
            channel as typeof im.conversations,
            {},
            bytes,
            AS_GATEWAYS_WAIT,
          )
          sane(proto.rpc.ConversationsResp.decode(reply).code)
        }
      }),
      { numRuns: 150 },
    )
  })

  test('a good request cut at every byte, and with every bit of it turned', async () => {
    const ann = stage.user('ann')
    const data = proto.SendMsgListReq.encode({
      msgDataList: [ann.message('group:a', 'x', { atUsers: ['bob'], ext: Buffer.from([1]) })],
      deliverAfter: 1,
    }).finish()
    const items = [{ convId: 'group:a', seqList: ['1', '2'] }]
    const sync = proto.BatchGetMsgListByConvIdReq.encode({ items }).finish()
    for (const [channel, good] of [
      [im.sendMsgList, data],
      [im.syncMsgList, sync],
    ] as const) {
      for (let end = 0; end < good.length; end++) sane(await codeOf(channel, asAnn(good.subarray(0, end))))
      for (let bit = 0; bit < good.length * 8; bit += 3) {
        const turned = Buffer.from(good)
        turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        sane(await codeOf(channel, asAnn(turned)))
      }
    }
  })

  test.each([
    ['a clientMsgId of 10 kB', { clientMsgId: 'x'.repeat(10_240) }],
    ['an empty clientMsgId', { clientMsgId: '' }],
    ['a NUL in the clientMsgId', { clientMsgId: 'a\0b' }],
    ['a convId with SQL', { convId: "group:a'; drop table messages; --" }],
    ['a convId with a NUL', { convId: 'group:\0' }],
    ['a convId with half a character', { convId: 'group:\ud800' }],
    ['a long convId', { convId: `group:${'x'.repeat(10_000)}` }],
    ['a conversation of others', { convId: 'single:bob-carl' }],
    ['a conversation with oneself', { convId: 'single:ann-ann' }],
    ['the wrong order', { convId: 'single:bob-ann' }],
    ['a notice channel', { convId: 'notice:a' }],
    ['too much content', { content: Buffer.alloc(70_000) }],
  ])('%s is refused', async (_what, extra) => {
    await expect(stage.user('ann').send('group:a', 'x', extra)).rejects.toMatchObject({
      code: expect.stringMatching(/^(RequestError|AuthError)$/),
      message: expect.stringMatching(/./),
    })
  })

  test.each([
    ['clientMsgId', "Robert'); drop table messages;--"],
    ['clientTime', "1' or '1'='1"],
    ['clientTime', 'NaN'],
    ['senderInfo', Buffer.from("';--")],
    ['atUsers', ["o'neil", '\0', '']],
  ])('%s may hold %j', async (field, value) => {
    const ann = stage.user('ann')
    const clientMsgId = await ann.send('group:a', 'x', { [field]: value })
    const stored = await ann.get({ clientMsgId })
    expect(stored?.clientTime).toMatch(/^\d+$/)
    if (field !== 'clientTime')
      expect(JSON.stringify(stored?.[field as 'atUsers'])).toBe(JSON.stringify(value))
  })

  test('lists of a million elements and a message of half a megabyte', async () => {
    const empties = (tag: number[], count: number) => Buffer.alloc(count * 2, Buffer.from([...tag, 0]))
    expect(await codeOf(im.sendMsgList, asAnn(empties([0x12], 250_000)))).toBe(Code.RequestError)
    expect(await codeOf(im.syncConvSeq, asAnn(empties([0x12], 400_000)))).toBe(Code.RequestError)
    expect(await codeOf(im.syncMsgList, asAnn(empties([0x12], 400_000)))).toBe(Code.RequestError)
    expect(await codeOf(im.getMsgById, asAnn(Buffer.alloc(900_000, 0x12)))).toBe(Code.RequestError)
    const large = proto.SendMsgListReq.encode({
      msgDataList: [stage.user('ann').message('group:a', 'x'.repeat(900_000))],
    }).finish()
    expect(await codeOf(im.sendMsgList, asAnn(large))).toBe(Code.RequestError)
  })

  test('a known field of another type: refused, since it would stop other implementations from reading', async () => {
    const file = readFileSync(new URL('../../../proto/client.proto', import.meta.url), 'utf8')
    const body = /message MsgData \{([\s\S]*?)\n\}/.exec(file)?.[1] ?? ''
    const sections: readonly (readonly [number | undefined, string])[] = [
      [undefined, body.replace(/ {2}message [\s\S]*?\n {2}\}/g, '')],
      [41, /message Options \{([\s\S]*?)\}/.exec(body)?.[1] ?? ''],
      [42, /message OfflinePush \{([\s\S]*?)\}/.exec(body)?.[1] ?? ''],
    ]
    const varint = (value: number): number[] =>
      value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
    const values = new Map([
      [0, [5]],
      [1, Array(8).fill(0)],
      [2, [1, 0x41]],
      [5, Array(4).fill(0)],
    ])
    const ordinary = proto.MsgData.encode(stage.user('ann').message('group:a', 'x')).finish()
    let tried = 0
    for (const [parent, section] of sections) {
      for (const [, type, number] of section.matchAll(/(\w+) \w+ = (\d+);/g)) {
        const right = ['bool', 'int32'].includes(type as string) ? 0 : 2
        for (const [wireType, value] of values) {
          if (wireType === right) continue
          const field = [...varint((Number(number) << 3) | wireType), ...value]
          const bytes = parent === undefined ? field : [...varint((parent << 3) | 2), field.length, ...field]
          const data = encodeList(2, [Buffer.concat([ordinary, Buffer.from(bytes)])])
          expect(await codeOf(im.sendMsgList, asAnn(data))).toBe(Code.RequestError)
          tried += 1
        }
      }
    }
    expect(tried).toBe((14 + 6 + 3) * 3)
  })

  test('half a surrogate pair in JSON does not reach clients, who could not read it', async () => {
    const half = 'cut in an emoji \ud83d'
    const message = {
      convId: 'group:a',
      senderId: 'ann',
      clientMsgId: half,
      contentType: 1,
      content: '',
      atUsers: [half],
      offlinePush: { title: half, content: half, payload: half },
    }
    const inbox = await stage.inbox('half')
    const pushes: Uint8Array[] = []
    stage.bus.subscribe(im.pushConv, { convId: 'group:a' }, ({ payload }) => pushes.push(payload))
    await stage.bus.roundTrip()
    // Twice: it is known again by its repaired id.
    const sent = await stage.bus.request(im.msgSend, {}, { msgDataList: [message] }, AS_GATEWAYS_WAIT)
    expect(sent.error_code).toBe(0)
    expect(await stage.bus.request(im.msgSend, {}, { msgDataList: [message] }, AS_GATEWAYS_WAIT)).toEqual(
      sent,
    )
    const notice = { convId: 'notice:x', title: half, contentType: 1, content: '' }
    await stage.bus.request(im.noticeSend, {}, { userIds: ['half'], notice }, AS_GATEWAYS_WAIT)
    await eventually(() => pushes.length > 0 && inbox.notices.length > 0)
    const strict = new TextDecoder('utf-8', { fatal: true })
    const repaired = 'cut in an emoji \ufffd'
    for (const push of pushes) {
      const list = proto.MsgDataList.decode(proto.PushBody.decode(push).data)
      expect(list.msgDataList[0]).toMatchObject({ clientMsgId: repaired, atUsers: [repaired] })
      expect(() => strict.decode(Buffer.from(list.msgDataList[0]?.clientMsgId ?? ''))).not.toThrow()
    }
    expect(inbox.notices[0]?.title).toBe(repaired)
  })

  test('callers that no gateway would name', async () => {
    for (const userId of ['', 'a b', "a'b", 'ä', 'x'.repeat(65), '\0']) {
      const request = proto.rpc.ClientRequest.encode({ caller: { userId }, data: Buffer.alloc(0) }).finish()
      expect(await codeOf(im.syncConvSeq, request)).toBe(Code.RequestError)
    }
    const device = { userId: 'ann', deviceId: 'x'.repeat(10_000) }
    const request = proto.rpc.ClientRequest.encode({ caller: device, data: Buffer.alloc(0) }).finish()
    expect(await codeOf(im.ackNotice, request)).toBe(Code.RequestError)
  })

  test('internal requests of any JSON are answered with the reason', async () => {
    const subjects = [
      'im.conv.put',
      'im.conv.add_members',
      'im.conv.remove_members',
      'im.msg.send',
      'im.notice.send',
    ]
    for (const subject of subjects) {
      for (const payload of [
        '',
        '{',
        '[]',
        '{"convId":1,"members":[]}',
        '{"convId":"group:x","members":["a b"]}',
      ]) {
        await publishRaw(stage.nats.port, subject, payload)
      }
    }
    const members = { convId: 'group:a', members: ["x'; drop table members; --"] }
    await expect(stage.bus.request(im.convPut, {}, members, AS_GATEWAYS_WAIT)).rejects.toThrow()
  })

  test('after all this, all is as before', async () => {
    expect((await service.metrics.registry.metrics()).match(/code="InternalError"/)).toBeNull()
    const ann = stage.user('ann')
    const before = Number((await ann.seqs(['group:a']))['group:a']?.maxSeq)
    await ann.send('group:a', 'still here')
    expect((await ann.sync('group:a', [before + 1]))[0]).toMatchObject({
      seq: String(before + 1),
      senderId: 'ann',
    })
  })
})
