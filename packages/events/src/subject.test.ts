import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { escapeKey, escapeToken, SubjectPattern, unescapeKey, unescapeToken } from './subject.ts'

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
