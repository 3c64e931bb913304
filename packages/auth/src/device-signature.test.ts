import { execFileSync } from 'node:child_process'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { hashDeviceKey, parseDeviceSignature, signDevice, verifyDeviceKey } from './device-signature.ts'

const credentials = { serialNo: 'sn12345678', deviceKey: 'abcdef' }

test('the documented vector', () => {
  expect(signDevice(credentials)).toBe('c24xMjM0NTY3ODphYmNkZWY=')
  expect(parseDeviceSignature('c24xMjM0NTY3ODphYmNkZWY=')).toEqual(credentials)
})

test('what `echo -n … | base64` prints, broken into lines', () => {
  const long = { serialNo: 'sn12345678', deviceKey: 'k'.repeat(200) }
  const printed = execFileSync('base64', { input: `${long.serialNo}:${long.deviceKey}`, encoding: 'utf8' })
  expect(printed.trim()).toContain('\n')
  expect(parseDeviceSignature(printed)).toEqual(long)
  expect(parseDeviceSignature(printed.replaceAll('\n', '\r\n'))).toEqual(long)
})

test('a key may have colons in it', () => {
  const colons = { serialNo: 'a', deviceKey: ':b:' }
  expect(parseDeviceSignature(signDevice(colons))).toEqual(colons)
})

test.each([
  ['nothing', ''],
  ['no base64', 'abcdefg 123456'],
  ['no colon', Buffer.from('sn12345678').toString('base64')],
  ['no serial number', Buffer.from(':key').toString('base64')],
  ['no key', Buffer.from('sn:').toString('base64')],
  ['no UTF-8', Buffer.from([0x61, 0x3a, 0xff]).toString('base64')],
  ['too long', 'A'.repeat(2_000)],
])('%s is no signature', (_what, signature) => {
  expect(parseDeviceSignature(signature)).toBeUndefined()
})

test('every text is a signature or none, and every signature is understood', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseDeviceSignature(text)))
  const serialNo = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/)
  const deviceKey = fc.string({ minLength: 1, maxLength: 100, unit: 'grapheme' })
  fc.assert(
    fc.property(serialNo, deviceKey, (serial, key) => {
      const given = { serialNo: serial, deviceKey: key }
      expect(parseDeviceSignature(signDevice(given))).toEqual(given)
    }),
  )
})

describe('stored keys', () => {
  const stored = hashDeviceKey('secret', credentials)
  test.each([
    [true, 'secret', credentials, stored],
    [false, 'another secret', credentials, stored],
    [false, 'secret', { ...credentials, deviceKey: 'abcdeg' }, stored],
    [false, 'secret', { ...credentials, serialNo: 'sn12345679' }, stored],
    [false, 'secret', credentials, undefined],
    [false, 'secret', credentials, ''],
    [false, 'secret', credentials, 'x'],
  ])('%s', (expected, secret, given, hash) => {
    expect(verifyDeviceKey(secret, given, hash)).toBe(expected)
  })

  test('do not show the key, and equal keys of two devices do not look equal', () => {
    expect(stored).not.toContain('abcdef')
    expect(hashDeviceKey('secret', { ...credentials, serialNo: 'sn2' })).not.toBe(stored)
  })
})
