import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { im } from '@carillon/codec'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { codes, events, messages, pushes } from '../src/im/im.ts'
import { decode, encode, type MessageType } from '../src/im/protobuf.ts'

const proto = readFileSync(resolve(import.meta.dirname, '../../../proto/client.proto'), 'utf8')

/** The fields of a message in the document: `name = number` with its type. */
function documented(message: string): Map<string, { readonly number: number; readonly type: string }> {
  const body = new RegExp(`message ${message} \\{([\\s\\S]*?)\\n?\\}`, 'm').exec(
    proto.replace(/ {2}(message|enum) \w+ \{[\s\S]*?\n {2}\}/g, ''),
  )?.[1]
  if (body === undefined) throw new Error(`there is no ${message}`)
  const fields = [...body.matchAll(/^\s*((?:repeated |optional )?[\w.<>, ]+) (\w+) = (\d+);/gm)]
  return new Map(
    fields.map(([, type, name, number]) => [
      name as string,
      { type: type as string, number: Number(number) },
    ]),
  )
}

const wireTypes: Readonly<Record<string, string>> = {
  int32: 'int32',
  bool: 'bool',
  string: 'string',
  bytes: 'bytes',
}

describe('the tables are those of proto/client.proto', () => {
  test.each(Object.keys(messages))('%s', (name) => {
    const fields = documented(name)
    const type = messages[name as keyof typeof messages] as MessageType
    for (const [field, [number, fieldType, repeated]] of Object.entries(type)) {
      const found = fields.get(field)
      expect(found?.number).toBe(number)
      expect(/^(repeated|map)/.test(found?.type ?? '')).toBe(repeated === true)
      const scalar = wireTypes[(found?.type ?? '').replace(/^(repeated|optional) /, '')]
      if (typeof fieldType === 'string') expect([scalar, 'int32']).toContain(fieldType)
      else expect(scalar).toBeUndefined()
    }
    expect(Object.keys(type).sort()).toEqual([...fields.keys()].sort())
  })

  test('events, pushes and codes', () => {
    const numbers = (values: object) =>
      Object.fromEntries(Object.entries(values).filter(([, value]) => typeof value === 'number'))
    expect(events).toEqual(numbers(im.ActiveEvent))
    expect(pushes).toEqual(numbers(im.PushEvent))
    expect(codes).toEqual(numbers(im.ResponseBody.Code))
  })
})

const text = fc.string({ unit: 'grapheme' })
const bytes = fc.uint8Array({ maxLength: 300 })
const message = fc.record({
  clientMsgId: text,
  serverMsgId: text,
  clientTime: text,
  serverTime: text,
  senderId: text,
  senderInfo: bytes,
  convId: text,
  atUsers: fc.array(text),
  contentType: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  content: bytes,
  seq: text,
  options: fc.option(
    fc.record({
      storageForServer: fc.boolean(),
      storageForClient: fc.boolean(),
      needDecrypt: fc.boolean(),
      offlinePush: fc.boolean(),
      updateConvMsg: fc.boolean(),
      updateUnreadCount: fc.boolean(),
    }),
    { nil: undefined },
  ),
  offlinePush: fc.option(fc.record({ title: text, content: text, payload: text }), { nil: undefined }),
  ext: bytes,
})

describe('messages', () => {
  test('what is written is read again, here and by the services', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (msgDataList) => {
        const encoded = encode(messages.MsgDataList, { msgDataList })
        expect(decode(messages.MsgDataList, encoded)).toEqual({ msgDataList })
        const theirs = im.MsgDataList.encode(im.MsgDataList.decode(encoded)).finish()
        expect(decode(messages.MsgDataList, theirs)).toEqual({ msgDataList })
      }),
    )
  })

  test('any bytes are a message or an error, and take no longer than their length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (anything) => {
        try {
          decode(messages.MsgDataList, anything)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }),
    )
  })

  test('a message that breaks off anywhere is none', () => {
    const whole = encode(messages.ResponseBody, { event: 1, reqId: 'a', code: 3, data: new Uint8Array(40) })
    const inside = whole.length - 1
    expect(() => decode(messages.ResponseBody, whole.subarray(0, inside))).toThrow()
    expect(() =>
      decode(messages.PushBody, encode(messages.PushBody, { data: whole }).subarray(0, 20)),
    ).toThrow()
  })

  test('fields that are not known, or of another type than their own, are passed over', () => {
    const odd = encode(
      { event: [1, 'bytes'], reqId: [2, 'string'], more: [99, 'int32'] },
      {
        event: new Uint8Array(3),
        reqId: 'r',
        more: 7,
      },
    )
    expect(decode(messages.RequestBody, odd)).toMatchObject({ event: 0, reqId: 'r' })
  })
})
