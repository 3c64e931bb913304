import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
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
