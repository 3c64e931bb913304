import { Reply } from '@carillon/bus'
import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { decode, encode, numbersOf } from './document.ts'
import { ImClient, reasonOf } from './im-client.ts'
import { type ImGateway, Stage } from './stage.ts'

let stage: Stage
let gateway: ImGateway
const clients: ImClient[] = []
const connect = async (userId: string, others: Record<string, string> = {}, on = gateway) => {
  const client = await ImClient.connect(on.listener.port, userId, others)
  clients.push(client)
  return client
}
beforeAll(async () => {
  stage = await Stage.open()
  await stage.startMessages()
  gateway = await stage.gateway()
})
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})
afterAll(() => stage?.close())

describe('a client that knows the document alone', () => {
  test('SendMsgList, PushMsgDataList: everybody gets it, the echo tells the sender its seq', async () => {
    await stage.putConversation('group:hall', ['ann', 'bob'])
    const [ann, annsTablet, bob, eve] = [
      await connect('ann'),
      await connect('ann', { deviceId: 'tablet' }),
      await connect('bob'),
      await connect('eve'),
    ]
    const message = ann.message('group:hall', 'hello', { senderId: 'forged', seq: '77', atUsers: ['bob'] })
    await ann.succeed('SendMsgList', { msgDataList: [message] })
    for (const client of [ann, annsTablet, bob]) {
      const [pushed] = await eventually(() => client.messages.length === 1 && client.messages)
      expect(pushed).toMatchObject({
        clientMsgId: message.clientMsgId,
        serverMsgId: 'group:hall-1',
        senderId: 'ann',
        convId: 'group:hall',
        atUsers: ['bob'],
        contentType: 1,
        seq: '1',
      })
      expect(Buffer.from(pushed?.content).toString()).toBe('hello')
      expect(Number(pushed?.serverTime)).toBeGreaterThan(1_700_000_000_000)
    }
    expect(eve.messages).toEqual([])
  })

  test('SyncConvSeq, SyncMsgList, GetMsgById', async () => {
    await stage.putConversation('single:carl-dora', ['carl', 'dora'])
    const carl = await connect('carl')
    const { msgDataList } = {
      msgDataList: ['one', 'two', 'three'].map((text) => carl.message('single:carl-dora', text)),
    }
    await carl.succeed('SendMsgList', { msgDataList })
    const dora = await connect('dora')
    const { convSeqMap } = await dora.succeed('SyncConvSeq', { convIdList: ['single:carl-dora'] })
    expect(convSeqMap['single:carl-dora']).toMatchObject({ minSeq: '0', maxSeq: '3' })
    const items = [{ convId: 'single:carl-dora', seqList: ['1', '2', '3', '4'] }]
    const synced = await dora.succeed('SyncMsgList', { items })
    expect(synced.msgDataList.map(({ seq }: { seq: string }) => seq)).toEqual(['4', '3', '2', '1'])
    const byServer = await dora.succeed('GetMsgById', { serverMsgId: 'single:carl-dora-2' })
    expect(Buffer.from(byServer.msgData.content).toString()).toBe('two')
    const byClient = await carl.succeed('GetMsgById', { clientMsgId: msgDataList[0]?.clientMsgId })
    expect(byClient.msgData.seq).toBe('1')
    expect((await dora.succeed('GetMsgById', { serverMsgId: 'single:carl-dora-9' })).msgData).toBeUndefined()
  })

  test('PushNoticeDataList, AckNotice', async () => {
    const waiting = await stage.sendNotice(['fay'], 'before')
    const fay = await connect('fay')
    await eventually(() => fay.notices.length === 1)
    const second = await stage.sendNotice(['fay'], 'while connected')
    await eventually(() => fay.notices.length === 2)
    expect(fay.notices.map(({ noticeId, title, convId }) => ({ noticeId, title, convId }))).toEqual([
      { noticeId: waiting, title: 'before', convId: 'notice:system' },
      { noticeId: second, title: 'while connected', convId: 'notice:system' },
    ])
    await fay.succeed('AckNotice', { noticeId: second, convId: 'notice:system' })
    await fay.succeed('AckNotice', { noticeId: 'nobody knows it', convId: 'notice:system' })
    fay.close()
    const again = await connect('fay')
    const third = await stage.sendNotice(['fay'], 'after')
    await eventually(() => again.notices.length > 0)
    expect(again.notices.map(({ noticeId }) => noticeId)).toEqual([third])
  })

  test('CustomRequest: headers say who asks, and the answer brings its code', async () => {
    const asked: object[] = []
    const subscription = stage.bus.serve(im.custom, {}, ({ params, payload, header }) => {
      const who = ['Carillon-User', 'Carillon-Platform', 'Carillon-Device'].map(header)
      asked.push({ method: params.method, text: Buffer.from(payload).toString(), who })
      const text = Buffer.from(payload).toString()
      if (text === 'fine') return Buffer.from('settings')
      const reason = encode('AnyErrorResp', {
        commonResp: { code: Number.parseInt(text, 10) || 0, msg: 'because' },
      })
      return new Reply(text === '4' ? Buffer.alloc(0) : reason, { 'Carillon-Code': text })
    })
    await stage.bus.roundTrip()
    const gus = await connect('gus', { platform: 'web', deviceId: 'chrome' })
    const ask = (data: string, method = '/v1/user/getUserSettings') =>
      gus.ask(100, encode('CustomRequestBody', { method, data: Buffer.from(data) }))
    const fine = await ask('fine')
    expect(fine).toMatchObject({ event: 100, code: 'Success' })
    expect(Buffer.from(fine.data).toString()).toBe('settings')
    expect(asked).toEqual([
      { method: 'v1.user.getUserSettings', text: 'fine', who: ['gus', 'web', 'chrome'] },
    ])
    for (const [name, code] of Object.entries(numbersOf('Code'))) {
      const answer = await ask(String(code))
      expect(answer.code).toBe(name)
      expect(reasonOf(answer)).toBe(name === 'AuthError' ? 'the service gave no reason' : 'because')
    }
    for (const code of ['6', '99', 'x', '-1']) {
      expect(await ask(code)).toMatchObject({ code: 'UnknownError' })
    }
    subscription.unsubscribe()
    await stage.bus.roundTrip()
    const nobody = await ask('fine')
    expect(nobody.code).toBe('RequestError')
    expect(reasonOf(nobody)).toBe('nobody serves this method')
  })

  test('fields that nobody here knows survive, from the request to the push', async () => {
    await stage.putConversation('group:future', ['hal', 'ida'])
    const [hal, ida] = [await connect('hal'), await connect('ida')]
    // Field 999, length-delimited: "new".
    const unknown = Buffer.from([0xba, 0x3e, 3, ...Buffer.from('new')])
    const message = Buffer.concat([encode('MsgData', hal.message('group:future', 'x')), unknown])
    const list = Buffer.concat([Buffer.from([0x12, ...varint(message.length)]), message])
    expect(await hal.ask(0, list)).toMatchObject({ code: 'Success' })
    await eventually(() => ida.messages.length === 1)
    expect(ida.frames.at(-1)?.includes(unknown)).toBe(true)
    expect(ida.messages[0]?.$unknown).toMatchObject([{ no: 999 }])
  })
})

test('two gateways: whoever is on the other one gets it too', async () => {
  const other = await stage.gateway()
  await stage.putConversation('group:two', ['joe', 'kim'])
  const [joe, kim] = [await connect('joe'), await connect('kim', {}, other)]
  for (let i = 1; i <= 20; i++) await (i % 2 ? joe : kim).send('group:two', String(i))
  for (const client of [joe, kim]) {
    await eventually(() => client.textsOf('group:two').length === 20)
    expect(client.messages.map(({ seq }) => Number(seq))).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  }
})

test('members come and go while they are connected', async () => {
  await stage.putConversation('group:door', ['lea'])
  const [lea, max] = [await connect('lea'), await connect('max')]
  await lea.send('group:door', 'alone')
  await stage.putConversation('group:door', ['lea', 'max'])
  await lea.send('group:door', 'both')
  await eventually(() => max.textsOf('group:door').length === 1)
  await stage.putConversation('group:door', ['lea'])
  await lea.send('group:door', 'alone again')
  await eventually(() => lea.textsOf('group:door').length === 3)
  expect(max.textsOf('group:door')).toEqual(['both'])
  const refused = await max.request('SendMsgList', { msgDataList: [max.message('group:door', 'x')] })
  expect(refused.code).not.toBe('Success')
  expect(reasonOf(refused)).toBeTruthy()
})

test('a request and its response as bytes', async () => {
  const nia = await connect('nia')
  nia.socket.send(Buffer.from('08011203722f311a00', 'hex'))
  const answer = await nia.answerTo('r/1')
  expect(answer).toMatchObject({ event: 1, code: 'Success' })
  expect(decode('BatchGetConvSeqResp', answer.data).convSeqMap).toEqual({})
  expect(nia.frames.at(-1)?.toString('hex')).toBe('0802120708011203722f31')
})

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]
}
