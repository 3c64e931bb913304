import { describe, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { auction } from './auction.ts'
import { defineEvent } from './channel.ts'
import { binary, json } from './payload.ts'

const decodeBid = (subject: string, payload: string | Uint8Array) =>
  auction.bid.decode(subject, typeof payload === 'string' ? Buffer.from(payload) : payload)

const BID = '{"amount":1,"nickName":"n","avatar":"","userId":3600,"auctionId":3607}'

describe('bytes in, typed event out', () => {
  test('a valid bid keeps its bytes and its unknown fields', () => {
    const bytes = Buffer.from(BID.replace('}', ', "vip": {"level": 3}}'))
    const decoded = auction.bid.decode('auction.3607.bid', bytes)
    expect(decoded).toMatchObject({
      ok: true,
      value: { params: { auctionId: '3607' }, payload: { vip: { level: 3 } } },
    })
    expect(decoded.ok && decoded.value.bytes).toBe(bytes)
  })

  test.each([
    ['no JSON', 'auction.3607.bid', 'x', 'not UTF-8 JSON'],
    ['broken UTF-8', 'auction.3607.bid', Buffer.from([0x22, 0xff, 0x22]), 'not UTF-8 JSON'],
    ['a byte order mark', 'auction.3607.bid', `\ufeff${BID}`, 'not UTF-8 JSON'],
    ['an array', 'auction.3607.bid', '[]', 'payload must be object'],
    [
      'a missing field',
      'auction.3607.bid',
      '{"amount":1}',
      'payload must have required properties nickName, avatar, userId, auctionId',
    ],
    ['a wrong type', 'auction.3607.bid', BID.replace('3600', '"3600"'), '/userId must be integer'],
    ['another auction', 'auction.1.bid', BID, 'auctionId is 3607 in the payload, 1 in the subject'],
    ['another subject', 'auction.3607.enter', BID, 'subject does not match auction.{auctionId}.bid'],
  ])('%s is refused with the reason', (_name, subject, payload, reason) => {
    expect(decodeBid(subject, payload)).toEqual({ ok: false, reason })
  })

  test('what does not match its schema is not encoded', () => {
    expect(() => auction.delay_close_time.encode({ auctionId: 1, closeTime: -1 })).toThrow(TypeError)
  })

  test('a payload may be completed from the subject, and then its bytes are the completed ones', () => {
    const quote = defineEvent('quote.{eventId}', {
      summary: 'a quote',
      direction: 'receive',
      payload: json(Type.Object({ eid: Type.Optional(Type.String()) })),
      refine: ({ eventId }, payload) => ({ ok: true, value: { eid: eventId, ...payload } }),
    })
    const decoded = quote.decode('quote.e1', Buffer.from('{"x":1}'))
    expect(decoded.ok && Buffer.from(decoded.value.bytes).toString()).toBe('{"eid":"e1","x":1}')
  })

  test('what is nested too deep to be printed again is refused, not thrown', () => {
    const completed = defineEvent('thing.{id}', {
      summary: '',
      direction: 'receive',
      payload: json(Type.Object({ id: Type.Optional(Type.String()) })),
      refine: ({ id }, payload) => ({ ok: true, value: { id, ...payload } }),
    })
    const deep = `{"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`
    expect(completed.decode('thing.1', Buffer.from(deep))).toMatchObject({ ok: false })
  })

  test('bytes of another format pass as they are', () => {
    const push = defineEvent('im.push.user.{userId}', {
      summary: 'a push',
      direction: 'receive',
      payload: binary('application/x-protobuf'),
    })
    const bytes = Uint8Array.of(8, 1)
    const decoded = push.decode('im.push.user.7', bytes)
    expect(decoded.ok && decoded.value.payload).toBe(bytes)
  })
})
