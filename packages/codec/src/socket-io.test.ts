import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { asciiPacket, socketIoEvent, socketIoEventWithAck, socketIoPackets } from './socket-io.ts'

const text = (frame: Buffer) => frame.subarray(2).toString()

describe('an event', () => {
  test('with a body that is passed on byte for byte', () => {
    const frame = socketIoEvent('memos_update', Buffer.from('{ "memo_id": 20 }'))
    expect(frame[0]).toBe(0x81)
    expect(text(frame)).toBe('42["memos_update",{ "memo_id": 20 }]')
  })

  test('without a body', () => {
    expect(text(socketIoEvent('auth:ok'))).toBe('42["auth:ok"]')
  })

  test('that is to be acknowledged', () => {
    expect(text(socketIoEventWithAck(17, 'media_stop', Buffer.from('{"stop":true}')))).toBe(
      '4217["media_stop",{"stop":true}]',
    )
  })
})

test('frames of any length in a row are the packets they were made of', () => {
  const bodies = fc.array(
    fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('x'.repeat(200), 'é'.repeat(40_000))),
  )
  fc.assert(
    fc.property(bodies, (texts) => {
      const json = texts.map((each) => JSON.stringify(each))
      const frames = Buffer.concat(json.map((body) => socketIoEvent('e', Buffer.from(body))))
      expect(socketIoPackets(frames)).toEqual(json.map((body) => `2["e",${body}]`))
    }),
  )
})

test('a packet in ASCII means the same', () => {
  expect(asciiPacket('2["e",{"a":"é滚😀"}]')).toBe('2["e",{"a":"\\u00e9\\u6eda\\ud83d\\ude00"}]')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = JSON.stringify(text)
      expect(asciiPacket(json)).toMatch(/^[\0-\x7f]*$/)
      expect(JSON.parse(asciiPacket(json))).toBe(text)
    }),
  )
})
