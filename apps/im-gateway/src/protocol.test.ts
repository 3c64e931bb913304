import { readFileSync } from 'node:fs'
import { encodeError, im, readPush, readRequest, responseFrame } from '@carillon/codec'
import { tableRows } from '@carillon/testkit'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readConfig } from './config.ts'
import { imLimits } from './limits.ts'
import { Code, closeCodes, parseRequest, RequestRefused, refusals } from './protocol.ts'

const page = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8')
const parse = (bytes: Uint8Array) => {
  try {
    return parseRequest(bytes, imLimits)
  } catch (error) {
    if (!(error instanceof RequestRefused)) throw error
    return error
  }
}
const request = (event: number, reqId: string, data: Uint8Array = Buffer.from('data')) =>
  Buffer.from(im.RequestBody.encode({ event, reqId, data }).finish())
const custom = (method: string) =>
  request(100, 'r', im.CustomRequestBody.encode({ method, data: Buffer.from('x') }).finish())

describe('requests', () => {
  test.each([
    [0, 'SendMsgList'],
    [1, 'SyncConvSeq'],
    [2, 'SyncMsgList'],
    [3, 'AckNotice'],
    [4, 'GetMsgById'],
  ])('event %i is %s', (event, name) => {
    expect(parse(request(event, 'r-1'))).toEqual({
      type: 'message',
      name,
      event,
      reqId: Uint8Array.from(Buffer.from('r-1')),
      data: Buffer.from('data'),
    })
  })

  test.each([
    ['/v1/user/getUserSettings', 'v1.user.getUserSettings'],
    ['ping', 'ping'],
    ['/a/>/*/设置', 'a.>.*.设置'],
  ])('the method %s is %s', (method, subject) => {
    expect(parse(custom(method))).toMatchObject({ type: 'custom', method: subject, data: Buffer.from('x') })
  })

  test.each(['', '/', '//', 'a//b', '/a/', 'a.b', '/a/..', 'a b', 'a\n', '\0', 'x'.repeat(513)])(
    'no request can be sent to the method %j',
    (method) => expect(parse(custom(method))).toMatchObject({ code: 'invalid_method' }),
  )

  test.each([
    ['missing_req_id', Buffer.alloc(0)],
    ['missing_req_id', request(1, '')],
    ['invalid_req_id', request(1, 'x'.repeat(1_025))],
    ['invalid_req_id', Buffer.from('0801120180', 'hex')],
    ['unknown_event', request(5, 'r')],
    ['unknown_event', request(-1, 'r')],
    ['malformed_custom_request', request(100, 'r', Buffer.from([0xff]))],
    ['malformed_body', Buffer.from('hello')],
    ['malformed_body', Buffer.from('00', 'hex')],
  ])('%s', (code, frame) => expect(parse(frame)).toMatchObject({ code }))

  test('a body cut at any byte names its request as far as it goes', () => {
    const whole = request(2, 'request-1', Buffer.alloc(200, 1))
    for (let length = 0; length < whole.length; length++) {
      const refusal = parse(whole.subarray(0, length))
      const { reqId } = readRequest(whole.subarray(0, length))
      // After the event, after the reqId, and not before anything: such a body is complete in itself.
      if (length === 0 || length === 2) expect(refusal).toMatchObject({ code: 'missing_req_id' })
      else if (length === 13) expect(refusal).toMatchObject({ type: 'message', name: 'SyncMsgList' })
      else expect(refusal).toMatchObject({ code: 'malformed_body' })
      expect(Buffer.from(reqId).toString()).toBe(length < 13 ? '' : 'request-1')
    }
  })

  test('any bytes are a request or a documented refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const outcome = parse(bytes)
        expect(outcome instanceof RequestRefused ? Object.keys(refusals) : ['message', 'custom']).toContain(
          outcome instanceof RequestRefused ? outcome.code : outcome.type,
        )
      }),
    )
  })
})

test('a response comes back whole, with its reqId', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      fc.uint8Array({ maxLength: 400 }),
      fc.constantFrom(0, 1, 2, 3, 4, 5, 7, 8),
      (event, reqId, data, code) => {
        const frame = responseFrame({ event, reqId: Buffer.from(reqId), code, data })
        const push = readPush(frame.subarray(frame[1] === 126 ? 4 : 2))
        expect(push?.event).toBe(im.PushEvent.PushResponseBody)
        const body = im.ResponseBody.decode(push?.data ?? new Uint8Array())
        expect({ event: body.event, reqId: body.reqId, code: body.code }).toEqual({ event, reqId, code })
        expect(Buffer.compare(body.data, data)).toBe(0)
      },
    ),
  )
})

test('a reqId that is not UTF-8 does not come back: the response could not be decoded', () => {
  const refusal = parse(Buffer.from('0801120180', 'hex'))
  expect(refusal).toMatchObject({ code: 'invalid_req_id', to: { event: 1, reqId: new Uint8Array() } })
})

test('a refusal fits where a client looks for it, whatever the event', () => {
  const data = encodeError(Code.AuthError, 'not a member')
  const { commonResp } = im.ErrorResp.decode(data)
  expect(commonResp).toMatchObject({ code: Code.AuthError, msg: 'not a member' })
})

describe('PROTOCOL.md', () => {
  const rows = (heading: string) => tableRows(page, heading)

  test('lists every refusal and no other', () => {
    expect(rows('Errors')).toEqual(
      Object.entries(refusals).map(([name, { code, reason, counts }]) => [
        `\`${name}\``,
        Code[code],
        reason,
        counts ? 'yes' : 'no',
      ]),
    )
  })

  test('lists every close code and no other', () => {
    const documented = rows('Close codes').map((row) => row.join(' '))
    const known = Object.values(closeCodes).map(
      (each) => `${each.code} ${each.reason} ${each.reconnect ? 'yes' : 'no'}`,
    )
    expect(documented).toEqual([...new Set(known)].sort())
  })

  test('states the limits as they are', () => {
    const { limits, im, pingIntervalMs, idleTimeoutMs, noticeRedeliveryMs, customTimeoutMs } = readConfig({})
    const { connection, user, total } = im.requests
    expect(rows('Limits').map(([, value]) => Number.parseInt(value as string, 10))).toEqual([
      pingIntervalMs,
      idleTimeoutMs,
      noticeRedeliveryMs,
      im.noticesInFlightMax,
      im.conversationsMax,
      im.followedConversationsMax,
      customTimeoutMs,
      connection.count,
      connection.bytes,
      user.count,
      user.bytes,
      total.count,
      total.bytes,
      im.reqIdBytesMax,
      im.methodBytesMax,
      im.openingMs,
      limits.unauthenticatedMs,
      limits.unauthenticatedMax,
      limits.connectionsMax,
      limits.connectionsPerAddressMax,
      limits.connectionsPerUserMax,
      limits.framesPerSecondMax,
      limits.framesPerSecondPerUserMax,
      limits.outboxBytesMax,
      limits.frameBytesMax,
      limits.frameBytesHardMax,
      limits.fragmentsMax,
      limits.unfinishedMessageMs,
      limits.unfinishedBytesPerUserMax,
      limits.unfinishedBytesMax,
      limits.violationsMax,
    ])
  })
})

test('an environment with mistakes is refused as a whole', () => {
  expect(() =>
    readConfig({ IM_PING_INTERVAL_MS: '60000', IM_LISTEN_PORT: 'x', IM_NOTICE_REDELIVERY_MS: '1' }),
  ).toThrow(/IM_PING_INTERVAL_MS must be less[\s\S]*IM_LISTEN_PORT[\s\S]*IM_NOTICE_REDELIVERY_MS/)
})
