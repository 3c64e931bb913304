import { spawnSync } from 'node:child_process'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { canonicalText, type Fields, parseFields } from './canonical.ts'
import { isSigned, signFrame, signText } from './sign.ts'

const md5 = { method: 'md5', secret: '' } as const
const VECTOR = '{"action":"ping","online_token":"1fabc","sid":"110sabc","timestamp":1523600000}'
const fieldsOf = (text: string) => parseFields(text) as Fields

describe('canonical text', () => {
  test('the documented vector', () => {
    expect(canonicalText(fieldsOf(VECTOR))).toBe(VECTOR)
    expect(signText(VECTOR, md5)).toBe('e89241f28fe301a3e2e6883993bb99c9')
    const anyOrder =
      '{"timestamp": 1523600000, "sign":"E89241F28FE301A3E2E6883993BB99C9", "sid":"110sabc", "online_token":"1fabc","action":"ping"}'
    expect(isSigned(fieldsOf(anyOrder), md5)).toBe(true)
  })

  test.each([
    ['slashes', '{"a":"x/y"}', '{"a":"x\\/y"}'],
    ['other scripts', '{"a":"\\u6d4b\\u8bd5 \\ud83d\\ude00"}', '{"a":"测试 😀"}'],
    [
      'control characters',
      '{"a":"\\u0008\\u000c\\n\\r\\t\\u001f\\u007f"}',
      '{"a":"\\b\\f\\n\\r\\t\\u001f\u007f"}',
    ],
    ['line separators, as PHP escapes them', '{"a":"\u2028\u2029"}', '{"a":"\\u2028\\u2029"}'],
    [
      'numbers as they were sent',
      '{"a":1.0,"b":1e3,"c":12345678901234567890}',
      '{"a":1.0,"b":1e3,"c":12345678901234567890}',
    ],
    ['other values', '{"b":null,"a":true,"c":""}', '{"a":true,"b":null,"c":""}'],
    [
      'byte order of names',
      '{"\ud83d\ude00":1,"\uff5e":2,"Z":3,"a":4}',
      '{"Z":3,"a":4,"\uff5e":2,"\ud83d\ude00":1}',
    ],
    ['the last of two fields', '{"a":1,"a":2}', '{"a":2}'],
    [
      'names like those of every object',
      '{"__proto__":1,"constructor":2}',
      '{"__proto__":1,"constructor":2}',
    ],
  ])('%s', (_name, sent, expected) => {
    expect(canonicalText(fieldsOf(sent))).toBe(expected)
  })

  test('is what a parser and printer make of any flat object, however it is spaced', () => {
    const scalar = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.constant(null))
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), scalar),
        fc.constantFrom('', ' ', '\n\t'),
        (object, space) => {
          const text = JSON.stringify(object, null, space)
          const sorted = Object.entries(JSON.parse(text) as object)
            .filter(([name]) => name !== 'sign')
            .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
            .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
          const expected = `{${sorted.join(',')}}`.replaceAll('/', '\\/')
          expect(canonicalText(fieldsOf(text), false)).toBe(expected)
        },
      ),
    )
  })

  test('only flat objects are taken, and nothing throws', () => {
    for (const text of ['', '[]', '1', '{"a":{}}', '{"a":[1]}', '{"a":1', 'null'])
      expect(parseFields(text)).toBeUndefined()
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseFields(text)))
  })
})

describe('signatures', () => {
  const fields = { action: 'exit_room_report', user_id: 1233, sid: 's/x', note: '测\u2028' }

  test.each([md5, { method: 'hmac-sha256', secret: 'secret' } as const])('$method', (options) => {
    const frame = signFrame(fields, options)
    expect(isSigned(fieldsOf(frame), options)).toBe(true)
    expect(isSigned(fieldsOf(frame.replace('1233', '1234')), options)).toBe(false)
    expect(isSigned(fieldsOf(frame.replace('1233', '"1233"')), options)).toBe(false)
  })

  test('another method, another key, no text: not signed', () => {
    const hmac = { method: 'hmac-sha256', secret: 'a' } as const
    expect(isSigned(fieldsOf(signFrame(fields, md5)), hmac)).toBe(false)
    expect(isSigned(fieldsOf(signFrame(fields, hmac)), { ...hmac, secret: 'b' })).toBe(false)
    for (const sign of [null, 5, true, '', 'x'])
      expect(isSigned(fieldsOf(JSON.stringify({ ...fields, sign })), md5)).toBe(false)
  })

  const python = spawnSync('python3', ['-c', '']).status === 0
  ;(python ? test : test.skip)('a client in Python is understood', () => {
    const script = `
import hashlib, json
fields = {"action": "send_gift_report", "user_id": 1233, "online_token": "t", "sid": "1/s", "timestamp": 1523600000, "note": "\\u6d4b/\\u2028\\u0007"}
text = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":")).replace("/", "\\\\/")
fields["sign"] = hashlib.md5(text.encode()).hexdigest()
print(json.dumps(fields))`
    const { stdout, stderr } = spawnSync('python3', ['-c', script], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(isSigned(fieldsOf(stdout), md5)).toBe(true)
  })
})
