import { describe, expect, test } from '@jest/globals'
import { rfc3339Times } from './claim-times.ts'

const expiry = (expires_at: unknown) => rfc3339Times({ expires_at })?.expiresAtMs

describe('RFC 3339 claims', () => {
  test('of the documented token', () => {
    const claims = {
      issued_at: '2023-02-10T08:57:29.911707415Z',
      expires_at: '2030-02-10T00:00:00.000000634Z',
    }
    expect(rfc3339Times(claims)).toEqual({
      notBeforeMs: Date.UTC(2023, 1, 10, 8, 57, 29, 911),
      expiresAtMs: Date.UTC(2030, 1, 10),
    })
  })

  test.each([
    ['2030-02-10T08:00:00+08:00', Date.UTC(2030, 1, 10)],
    ['2030-02-09T18:30:00.5-05:30', Date.UTC(2030, 1, 10, 0, 0, 0, 500)],
    ['2030-02-10t00:00:00z', Date.UTC(2030, 1, 10)],
  ])('%s', (text, ms) => {
    expect(expiry(text)).toBe(ms)
  })

  test.each([
    undefined,
    1_900_000_000,
    '',
    'tomorrow',
    '2030-02-10',
    '2030-02-10T00:00:00',
    '2030-13-10T00:00:00Z',
    '2030-02-10T00:00:00.0000000001Z',
  ])('%p is none', (text) => {
    expect(expiry(text)).toBeUndefined()
  })

  test('an issued_at that cannot be read spoils the token', () => {
    expect(rfc3339Times({ expires_at: '2030-02-10T00:00:00Z', issued_at: 'x' })).toBeUndefined()
  })
})
