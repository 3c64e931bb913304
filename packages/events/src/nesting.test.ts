import { expect, test } from '@jest/globals'
import { isNestedWithin } from './nesting.ts'
import { noticePayload } from './voice/notices.ts'

const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

test('levels are counted in arrays and objects alike', () => {
  expect(isNestedWithin(1, 0)).toBe(true)
  expect(isNestedWithin({ a: [{}] }, 3)).toBe(true)
  expect(isNestedWithin({ a: [{}] }, 2)).toBe(false)
  expect(isNestedWithin(JSON.parse(nested(100)))).toBe(true)
  expect(isNestedWithin(JSON.parse(nested(100_000)))).toBe(false)
})

test('a notice that could not be written into a frame is refused when it is read, and not tried again and again', () => {
  const body = `{"user_id":1,"content":"x","more":${nested(30_000)}}`
  const refused = { ok: false, reason: 'payload is nested too deeply' }
  expect(noticePayload.decode(Buffer.from(body))).toEqual(refused)
  expect(noticePayload.check(JSON.parse(body))).toEqual(refused)
  expect(noticePayload.decode(Buffer.from(`{"more":${nested(20)}}`)).ok).toBe(true)
})
