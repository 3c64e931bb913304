import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { mintSid, verifySid } from './sid.ts'

const SECRET = 'a secret'
const NOW_S = 1_700_000_000
const NOW_MS = NOW_S * 1_000

test('names a user of any script, until it expires', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter((id) => !/\p{Surrogate}/u.test(id)),
      (userId) => {
        expect(verifySid(SECRET, mintSid(SECRET, userId, NOW_S + 1), NOW_MS)).toEqual({
          ok: true,
          userId,
          expiresAtMs: NOW_MS + 1_000,
        })
      },
    ),
  )
  expect(verifySid(SECRET, mintSid(SECRET, '1s2x3', NOW_S), NOW_MS)).toEqual({
    ok: false,
    failure: 'expired',
  })
})

test.each([
  ['nothing', undefined, 'missing'],
  ['empty', '', 'missing'],
  ['no sid', '110sabc', 'malformed'],
  ['no user', mintSid(SECRET, '', NOW_S + 9), 'malformed'],
  ['a long user', mintSid(SECRET, 'u'.repeat(257), NOW_S + 9), 'malformed'],
  ['another secret', mintSid('b', '1', NOW_S + 9), 'bad_signature'],
  ['another user', mintSid(SECRET, '1', NOW_S + 9).replace('1s', '2s'), 'bad_signature'],
  [
    'more time',
    mintSid(SECRET, '1', NOW_S + 9).replace(String(NOW_S + 9), String(NOW_S + 99)),
    'bad_signature',
  ],
  ['too long', `${'1'.repeat(2_000)}s1x${'0'.repeat(32)}`, 'malformed'],
])('%s is refused', (_name, sid, failure) => {
  expect(verifySid(SECRET, sid, NOW_MS)).toEqual({ ok: false, failure })
})

test('anything at all is answered', () => {
  fc.assert(fc.property(fc.string(), (sid) => void verifySid(SECRET, sid, NOW_MS)))
})
