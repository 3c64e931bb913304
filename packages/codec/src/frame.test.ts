import { describe, expect, test } from '@jest/globals'
import * as ws from 'ws'
import { binaryFrame, spliceTextFrame, textFrame } from './frame.ts'

describe('prepared frames', () => {
  test.each([
    ['', '8100'],
    ['success', '810773756363657373'],
    ['测', '8103e6b58b'],
  ])('%j', (text, hex) => {
    expect(textFrame(text).toString('hex')).toBe(hex)
  })

  test.each([
    [125, '817d'],
    [126, '817e007e'],
    [65_535, '817effff'],
    [65_536, '817f0000000000010000'],
  ])('a payload of %d bytes has the header %s', (length, header) => {
    const frame = textFrame(Buffer.alloc(length, 'a'))
    expect(frame.subarray(0, header.length / 2).toString('hex')).toBe(header)
    expect(frame.length).toBe(header.length / 2 + length)
  })

  test('pieces make one payload', () => {
    expect(spliceTextFrame(Buffer.from('{"a":'), Buffer.from('1'), Buffer.from('}'))).toEqual(
      textFrame('{"a":1}'),
    )
  })

  test('binary frames have their own opcode', () => {
    expect(binaryFrame(Uint8Array.of(1, 2)).toString('hex')).toBe('82020102')
  })

  test.each([0, 125, 126, 65_535, 65_536])('they are what ws itself would write (%d bytes)', (length) => {
    const payload = Buffer.alloc(length, 'x')
    const { Sender } = ws as unknown as { Sender: { frame(data: Buffer, options: object): Buffer[] } }
    const theirs = Sender.frame(payload, { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false })
    expect(textFrame(payload)).toEqual(Buffer.concat(theirs))
  })
})
