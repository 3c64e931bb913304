import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { signRequest, verifyRequest } from './request-sign.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

test('h, _url and file are not signed, keys are in order', () => {
  const parameters = { ts: '1', code: 'c', h: 'x', _url: '/a', file: 'f', an: '' }
  expect(signRequest(parameters, 'key')).toBe(md5(`${md5('an=&code=c&ts=1')}key`))
})

test('a signature is good for its parameters and its key alone', () => {
  const parameters = { code: 'c', ts: '1' }
  const h = signRequest(parameters, 'key')
  expect(verifyRequest({ ...parameters, h }, 'key')).toBe(true)
  expect(verifyRequest({ ...parameters, h: h.toUpperCase() }, 'key')).toBe(true)
  expect(verifyRequest({ ...parameters, ts: '2', h }, 'key')).toBe(false)
  expect(verifyRequest({ ...parameters, h }, 'other')).toBe(false)
  expect(verifyRequest({ ...parameters, h: 'short' }, 'key')).toBe(false)
  expect(verifyRequest(parameters, 'key')).toBe(false)
})

test.each([
  [{ a: '1&b=2' }, { a: '1', b: '2' }, false],
  [{ 'a=1&b': '2' }, { a: '1', b: '2' }, false],
  [{ 'a=b': 'c' }, { a: 'b=c' }, false],
  [{ a: 'b=c' }, { 'a=b': 'c' }, true],
  [{ man: 'A&B', mod: 'x' }, { man: 'A', mod: 'x' }, true],
])(
  '%j is good for one reading alone',
  (parameters: Record<string, string>, other: Record<string, string>, good) => {
    const h = signRequest(parameters, 'key')
    expect(verifyRequest({ ...parameters, h }, 'key')).toBe(good)
    if (signRequest(other, 'key') === h) expect(verifyRequest({ ...other, h }, 'key')).toBe(!good)
  },
)

test('no two sets of parameters have one signature', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '=', '&'), maxLength: 6 })
  const parameters = fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true })
  fc.assert(
    fc.property(parameters, parameters, (one, other) => {
      const h = signRequest(one, 'key')
      const both = verifyRequest({ ...one, h }, 'key') && verifyRequest({ ...other, h }, 'key')
      if (both) expect(Object.entries(other).sort()).toEqual(Object.entries(one).sort())
    }),
    { numRuns: 2_000 },
  )
})
