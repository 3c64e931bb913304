import { DEVELOPMENT_SECRET } from '@carillon/auth'
import { im } from '@carillon/events'
import { eventually, loginToken, UpgradeRefused, WebSocketClient } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { encode, numbersOf } from './document.ts'
import { ImClient, parametersOf, reasonOf } from './im-client.ts'
import { type ImGateway, readMetrics, Stage } from './stage.ts'

let stage: Stage
let gateway: ImGateway
const log: string[] = []
const clients: ImClient[] = []
const kept = <C extends ImClient>(client: C): C => {
  clients.push(client)
  return client
}
const connect = async (userId: string) => kept(await ImClient.connect(gateway.listener.port, userId))
beforeAll(async () => {
  stage = await Stage.open()
  await stage.startMessages()
  gateway = await stage.gateway(
    { LOG_LEVEL: 'trace', IM_CUSTOM_TIMEOUT_MS: '500', IM_MAX_FRAMES_PER_SECOND: '2000' },
    { logDestination: { write: (line: string) => void log.push(line) } },
  )
})
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})
afterAll(() => stage?.close())

describe('connecting', () => {
  const closedWith = async (parameters: Record<string, string>, path?: string) => {
    const client = kept(new ImClient(gateway.listener.port, parameters, path))
    const { code, reason } = await client.end()
    expect(client.texts).toEqual([])
    return `${code} ${reason}`
  }
  const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const soon = Math.floor(Date.now() / 1_000) + 60

  test.each(Object.keys({ token: '', ...parametersOf('ann') }))('without %s: 3000', async (missing) => {
    const { [missing]: _, ...others } = { token: await loginToken('ann'), ...parametersOf('ann') } as Record<
      string,
      string
    >
    expect(await closedWith(others)).toBe(`3000 ${missing} is missing`)
    expect(await closedWith({ ...others, [missing]: '' }, '/')).toBe(`3000 ${missing} is missing`)
  })

  test.each([
    ['platform is not known', { platform: 'constructor' }],
    ['userId is not valid', { userId: 'ann; drop table' }],
    ['userId is not valid', { userId: 'x'.repeat(65) }],
    ['deviceId is not valid', { deviceId: 'a\r\nCarillon-User: eve' }],
    ['deviceModel is too long', { deviceModel: 'x'.repeat(257) }],
    ['token is of another user', { userId: 'bob' }],
  ])('%s: 3000', async (reason, others) => {
    const token = await loginToken('ann')
    expect(await closedWith({ token, ...parametersOf('ann', others) })).toBe(`3000 ${reason}`)
  })

  test.each([
    ['token is malformed', async () => 'garbage'],
    ['token is malformed', async () => 'x'.repeat(9_000)],
    ['token has a bad signature', () => loginToken('ann', {}, 'another-secret-altogether')],
    [
      'token has an unsupported algorithm',
      async () => `${base64({ alg: 'none' })}.${base64({ sub: 'ann', exp: soon })}.`,
    ],
    ['token expired', () => loginToken('ann', { exp: 1 })],
    ['token is not yet valid', () => loginToken('ann', { created: Date.now() + 3_600_000 })],
    ['token is malformed', () => loginToken('ann', { exp: undefined })],
    ['token is of another user', () => loginToken('ann', { sub: undefined })],
    ['token is of another user', () => loginToken('ann', { sub: '', jti: 'bob' })],
    ['token is of another user', () => loginToken('bob', { jti: 'ann' })],
  ])('%s: 3000', async (reason, token) => {
    expect(await closedWith({ token: await token(), ...parametersOf('ann') })).toBe(`3000 ${reason}`)
  })

  test('a parameter that stands there twice: 3000', async () => {
    const query = new URLSearchParams({ token: await loginToken('ann'), ...parametersOf('ann') })
    const client = await WebSocketClient.connect(
      `ws://127.0.0.1:${gateway.listener.port}/ws?${query}&userId=bob`,
    )
    expect(await client.end()).toEqual({ code: 3000, reason: 'userId stands there twice' })
  })

  test('the user of a token without sub is its jti; the path / is as good', async () => {
    const token = await loginToken('x', { sub: undefined, jti: 'ann' })
    const client = kept(new ImClient(gateway.listener.port, { token, ...parametersOf('ann') }, '/'))
    await eventually(() => client.texts[0] === 'connected')
  })

  test('another path, and plain HTTP', async () => {
    const url = `127.0.0.1:${gateway.listener.port}`
    await expect(WebSocketClient.connect(`ws://${url}/other`)).rejects.toBeInstanceOf(UpgradeRefused)
    expect((await fetch(`http://${url}/ws`)).status).toBe(426)
  })

  test('no token is in the log or the metrics', async () => {
    await closedWith({ token: await loginToken('ann', {}, 'another-secret'), ...parametersOf('ann') })
    const metrics = await readMetrics(gateway)
    expect(metrics).toMatch(/carillon_auth_failures_total\{reason="bad_signature",[^}]*\} [1-9]/)
    expect(metrics).toMatch(/carillon_auth_failures_total\{reason="bad_parameters",[^}]*\} [1-9]/)
    expect(metrics + log.join('')).not.toMatch(new RegExp(`eyJ|${DEVELOPMENT_SECRET}`))
  })
})

describe('frames', () => {
  const stillWorks = async (client: ImClient) =>
    expect(await client.succeed('SyncConvSeq', { convIdList: [] })).toEqual(expect.anything())
  const nextAnswer = (client: ImClient, before: number) => eventually(() => client.answers[before] ?? false)

  test.each([
    ['malformed_body', Buffer.from('hello'), 'the frame is no RequestBody', ''],
    ['empty', Buffer.alloc(0), 'reqId is empty', ''],
    ['an empty reqId', encode('RequestBody', { event: 1, reqId: '' }), 'reqId is empty', ''],
    [
      'a reqId of 10 kB',
      encode('RequestBody', { event: 1, reqId: 'x'.repeat(10_000) }),
      'reqId is too long or not UTF-8',
      'x'.repeat(10_000),
    ],
    ['an unknown event', encode('RequestBody', { event: 77, reqId: 'r' }), 'event is none of the six', 'r'],
    [
      'cut behind the reqId',
      encode('RequestBody', { event: 1, reqId: 'r', data: Buffer.alloc(9) }).subarray(0, 9),
      'the frame is no RequestBody',
      'r',
    ],
    [
      'a custom request that is none',
      encode('RequestBody', { event: 100, reqId: 'r', data: Buffer.from('!') }),
      'data is no CustomRequestBody',
      'r',
    ],
    [
      'a wildcard method',
      encode('RequestBody', {
        event: 100,
        reqId: 'r',
        data: encode('CustomRequestBody', { method: '/a.>' }),
      }),
      'method is no path that a request can be sent to',
      'r',
    ],
  ])('%s: RequestError with a reason, and the connection stays', async (_name, frame, reason, reqId) => {
    const client = await connect('ann')
    client.socket.send(frame)
    const answer = await nextAnswer(client, 0)
    expect({ code: answer.code, reqId: answer.reqId, reason: reasonOf(answer) }).toEqual({
      code: 'RequestError',
      reqId,
      reason,
    })
    await stillWorks(client)
  })

  test('300 kB: an error; 2 MB: an error, then 1009', async () => {
    const client = await connect('ann')
    client.socket.send(Buffer.alloc(300_000))
    expect(reasonOf(await nextAnswer(client, 0))).toBe('the frame is larger than it may be')
    await stillWorks(client)
    const before = client.answers.length
    client.socket.send(Buffer.alloc(2_000_000))
    expect(reasonOf(await nextAnswer(client, before))).toBe('the frame is larger than it may be')
    expect(await client.end()).toMatchObject({ code: 1009 })
  })

  test('text frames are ignored', async () => {
    const client = await connect('ann')
    for (let i = 0; i < 100; i++) client.socket.send('ping')
    await stillWorks(client)
    expect(client.answers).toHaveLength(1)
  })

  test('more than 20 refused frames within 10 s: 4429', async () => {
    const client = await connect('ann')
    for (let i = 0; i < 21; i++) client.socket.send(Buffer.from([0xff]))
    expect(await client.end()).toEqual({ code: 4429, reason: 'too many errors' })
    expect(client.answers.map(({ code }) => code)).toEqual(Array(21).fill('RequestError'))
  })

  test('each event with data cut at every byte: a coded answer with a reason, or Success', async () => {
    const message = encode('MsgData', {
      convId: 'group:nobody',
      clientMsgId: 'c',
      content: Buffer.from('text'),
      options: { storageForServer: true },
    })
    const requests: [number, Buffer][] = [
      [0, encode('SendMsgListReq', { deliverAfter: 5 })],
      [0, Buffer.concat([Buffer.from([0x12, message.length]), message])],
      [1, encode('BatchGetConvSeqReq', { convIdList: ['group:a', 'group:b'] })],
      [2, encode('BatchGetMsgListByConvIdReq', { items: [{ convId: 'group:a', seqList: ['1', '2'] }] })],
      [3, encode('AckNoticeDataReq', { noticeId: 'n', convId: 'c' })],
      [4, encode('GetMsgByIdReq', { serverMsgId: 'group:a-1' })],
      [100, encode('CustomRequestBody', { method: '/m', data: Buffer.from('xyz') })],
    ]
    const known = Object.keys(numbersOf('Code'))
    for (const [event, data] of requests) {
      let client = await connect('cutter')
      for (let length = 0; length <= data.length; length++) {
        if (length % 15 === 14) {
          client.close()
          client = await connect('cutter')
        }
        const answer = await client.ask(event, data.subarray(0, length))
        expect(known).toContain(answer.code)
        if (answer.code !== 'Success') expect(reasonOf(answer)).toBeTruthy()
      }
      client.close()
    }
  })
})

describe('requests', () => {
  test('what belongs to others, forged ids, SQL in ids: refused with a reason, and nothing changes', async () => {
    await stage.putConversation('group:secret', ['owner'])
    const owner = await connect('owner')
    await owner.send('group:secret', 'mine')
    const eve = await connect('eve')
    const sent = (message: object) => eve.request('SendMsgList', { msgDataList: [message] })
    const refused = [
      await sent(eve.message('group:secret', 'x', { senderId: 'owner' })),
      await sent(eve.message(`group:secret'; DROP TABLE messages; --`, 'x')),
      await sent(eve.message('group:secret', 'x', { clientMsgId: 'x'.repeat(10_000) })),
      await sent(eve.message('', 'x')),
      await eve.request('SyncMsgList', { items: [{ convId: 'group:secret', seqList: ['1'] }] }),
      await eve.request('SyncMsgList', { items: [{ convId: 'group:secret', seqList: ['1 OR 1=1'] }] }),
      await eve.request('SyncMsgList', {
        items: [{ convId: 'group:secret', seqList: Array(50_000).fill('1') }],
      }),
      await eve.request('SyncConvSeq', { convIdList: Array(50_000).fill('a') }),
      await eve.request('SendMsgList', {
        msgDataList: [eve.message('group:secret', 'x')],
        deliverAfter: 864_001,
      }),
    ]
    for (const answer of refused) {
      if (answer.code === 'Success') continue
      expect(reasonOf(answer)).toBeTruthy()
    }
    expect(refused.filter(({ code }) => code === 'Success')).toHaveLength(0)
    const byId = await eve.request('GetMsgById', { serverMsgId: 'group:secret-1' })
    if (byId.code === 'Success') expect(byId.data).toHaveLength(0)
    const { convSeqMap } = await owner.succeed('SyncConvSeq', { convIdList: ['group:secret'] })
    expect(convSeqMap['group:secret'].maxSeq).toBe('1')
    expect(eve.messages).toEqual([])
  })

  test('more than 32 under way: RetryError at once, and the others are answered', async () => {
    const held: ((answer: Buffer) => void)[] = []
    const subscription = stage.bus.serve(
      im.custom,
      { method: 'hold' },
      () => new Promise<Buffer>((resolve) => held.push(resolve)),
    )
    await stage.bus.roundTrip()
    const patient = await stage.gateway({ IM_CUSTOM_TIMEOUT_MS: '60000' })
    const client = kept(await ImClient.connect(patient.listener.port, 'busy'))
    const asked = Array.from({ length: 40 }, () =>
      client.ask(100, encode('CustomRequestBody', { method: 'hold' })),
    )
    await eventually(() => client.answers.length === 8)
    expect(client.answers.map((each) => `${each.code} ${reasonOf(each)}`)).toEqual(
      Array(8).fill('RetryError too many requests are under way'),
    )
    await eventually(() => held.length === 32)
    for (const answer of held) answer(Buffer.from('done'))
    const codes = (await Promise.all(asked)).map(({ code }) => code)
    expect(codes.filter((code) => code === 'Success')).toHaveLength(32)
    expect(client.closed).toBeUndefined()
    subscription.unsubscribe()
  })

  test('who reconnects while requests are under way has them still: 64 of one user', async () => {
    let asked = 0
    const subscription = stage.bus.serve(im.custom, { method: 'stuck' }, () => {
      asked += 1
      return new Promise<Buffer>(() => {})
    })
    await stage.bus.roundTrip()
    const slow = await stage.gateway({
      IM_MAX_FRAMES_PER_SECOND: '2000',
      IM_CUSTOM_TIMEOUT_MS: '60000',
    })
    const body = encode('CustomRequestBody', { method: 'stuck' })
    for (const expected of [32, 64, 64, 64]) {
      const client = kept(await ImClient.connect(slow.listener.port, 'returning'))
      for (let i = 0; i < 32; i++)
        client.socket.send(encode('RequestBody', { event: 100, reqId: `${i}`, data: body }))
      await eventually(() => asked === expected)
      client.close()
      await eventually(() => slow.users.get('returning') === undefined)
    }
    const client = kept(await ImClient.connect(slow.listener.port, 'returning'))
    const answer = await client.ask(100, body)
    expect(`${answer.code} ${reasonOf(answer)}`).toBe('RetryError too many requests are under way')
    expect(asked).toBe(64)
    subscription.unsubscribe()
  })

  test('a service that does not answer: RetryError in time', async () => {
    const subscription = stage.bus.serve(
      im.custom,
      { method: 'silence' },
      () => new Promise<Buffer>(() => {}),
    )
    await stage.bus.roundTrip()
    const client = await connect('patient')
    const answer = await client.ask(100, encode('CustomRequestBody', { method: '/silence' }))
    expect(`${answer.code} ${reasonOf(answer)}`).toBe('RetryError the service did not answer in time')
    subscription.unsubscribe()
  })

  test('pushes that no client would understand are counted and go nowhere', async () => {
    await stage.putConversation('group:push', ['ann'])
    const client = await connect('ann')
    stage.bus.publish(im.pushConv, { convId: 'group:push' }, Buffer.from('garbage'))
    stage.bus.publish(im.pushUser, { userId: 'ann' }, Buffer.from([0x08, 0x07]))
    stage.bus.publish(
      im.pushUser,
      { userId: 'ann' },
      encode('PushBody', { event: 1, data: Buffer.from('!') }),
    )
    stage.bus.publish(im.members, { convId: 'group:push' }, Buffer.from([0xff]))
    await stage.bus.roundTrip()
    await client.send('group:push', 'fine')
    await eventually(() => client.messages.length === 1)
    expect(client.frames).toHaveLength(2)
    await eventually(async () =>
      /carillon_im_rejected_pushes_total\{[^}]*\} 4/.test(await readMetrics(gateway)),
    )
  })
})

test('a client that does not read is closed with 1013, and the others feel nothing', async () => {
  const small = await stage.gateway({ IM_MAX_OUTBOX_BYTES: '100000' })
  await stage.putConversation('group:flood', ['stuck', 'healthy'])
  const stuck = kept(await ImClient.connect(small.listener.port, 'stuck'))
  const healthy = kept(await ImClient.connect(small.listener.port, 'healthy'))
  stuck.socket.pause()
  const data = encode('MsgDataList', {
    msgDataList: [{ convId: 'group:flood', content: Buffer.alloc(50_000) }],
  })
  const push = encode('PushBody', { event: 0, data })
  let sent = 0
  await eventually(async () => {
    for (let i = 0; i < 4; i++) stage.bus.publish(im.pushConv, { convId: 'group:flood' }, push)
    sent += 4
    await stage.bus.roundTrip()
    await eventually(() => healthy.messages.length === sent)
    return small.listener.counters.slowConsumers === 1
  }, 60_000)
  expect(healthy.closed).toBeUndefined()
  stuck.socket.resume()
  expect(await stuck.end()).toMatchObject({ code: expect.any(Number) })
})
