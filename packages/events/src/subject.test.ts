import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  bucketKey,
  escapeKey,
  escapeToken,
  KEY_BYTES_MAX,
  SUBJECT_BYTES_MAX,
  SubjectPattern,
  SubjectTooLong,
  unescapeKey,
  unescapeToken,
} from './subject.ts'

const bid = new SubjectPattern('auction.{auctionId}.bid')
const custom = new SubjectPattern('im.custom.{method...}')

describe('a subject pattern', () => {
  test('prints subjects and filters', () => {
    expect(bid.subject({ auctionId: '3607' })).toBe('auction.3607.bid')
    expect(bid.filter()).toBe('auction.*.bid')
    expect(custom.subject({ method: 'v1.user.getUserSettings' })).toBe('im.custom.v1.user.getUserSettings')
    expect(custom.filter()).toBe('im.custom.>')
    expect(custom.address).toBe('im.custom.{method}')
  })

  test.each([
    ['a.b', 'auction.a%2Eb.bid'],
    ['*', 'auction.%2A.bid'],
    ['>', 'auction.%3E.bid'],
    ['a b', 'auction.a%20b.bid'],
    ['测试', 'auction.%E6%B5%8B%E8%AF%95.bid'],
  ])('escapes %s', (auctionId, subject) => {
    expect(bid.subject({ auctionId })).toBe(subject)
    expect(bid.parse(subject)).toEqual({ auctionId })
  })

  test.each([
    'auction.3607',
    'auction.3607.bid.x',
    'auction..bid',
    'auction.%E6.bid',
    'auctions.1.bid',
    'im.custom',
  ])('does not match %s', (subject) => {
    expect(bid.parse(subject)).toBeUndefined()
    expect(custom.parse(subject)).toBeUndefined()
  })

  test('an empty id is an error', () => {
    expect(() => bid.subject({ auctionId: '' })).toThrow(RangeError)
  })
})

describe('length', () => {
  const market = new SubjectPattern('quote.chloe.{eventId}.{marketId}')

  test('is bounded in bytes, escaped', () => {
    const most = 'x'.repeat(SUBJECT_BYTES_MAX - 'quote.chloe..m'.length)
    expect(market.subject({ eventId: most, marketId: 'm' })).toHaveLength(SUBJECT_BYTES_MAX)
    expect(() => market.subject({ eventId: `${most}x`, marketId: 'm' })).toThrow(SubjectTooLong)
    expect(() => market.filter({ eventId: `${most}xxx` })).toThrow(SubjectTooLong)
    // 256 characters each, 4,608 bytes.
    const ids = { eventId: '測'.repeat(256), marketId: '測'.repeat(256) }
    expect(() => market.subject(ids)).toThrow(SubjectTooLong)
    expect([market.fits(ids), market.fits({ eventId: '', marketId: 'm' })]).toEqual([false, false])
    expect(market.fits({ eventId: most, marketId: 'm' })).toBe(true)
  })

  test('whatever the ids, a subject is bounded or an error', () => {
    const id = fc.string({ unit: 'binary', maxLength: 1_024 })
    fc.assert(
      fc.property(id, id, (eventId, marketId) => {
        if (!market.fits({ eventId, marketId })) return
        expect(Buffer.byteLength(market.subject({ eventId, marketId }))).toBeLessThanOrEqual(
          SUBJECT_BYTES_MAX,
        )
      }),
    )
  })

  test('of keys too', () => {
    expect(bucketKey('room', 'a.b')).toBe('room.a=2Eb')
    expect(() => bucketKey('x'.repeat(KEY_BYTES_MAX), 'y')).toThrow(SubjectTooLong)
  })
})

describe('escaping', () => {
  const id = fc.string({ minLength: 1, unit: 'grapheme' })

  test('any id survives as one subject token', () => {
    fc.assert(
      fc.property(id, (text) => {
        const token = escapeToken(text)
        expect(token).toMatch(/^[^.*> \t\r\n]+$/)
        expect(unescapeToken(token)).toBe(text)
      }),
    )
  })

  test('any id survives as a token of a key-value key', () => {
    fc.assert(
      fc.property(id, (text) => {
        const token = escapeKey(text)
        expect(token).toMatch(/^[-_=a-zA-Z0-9]+$/)
        expect(unescapeKey(token)).toBe(text)
      }),
    )
  })

  test('half a surrogate pair does not throw', () => {
    expect(escapeToken('\ud800')).toBe('%EF%BF%BD')
  })
})
