import { encodeError, im, responseFrame } from '@carillon/codec'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseLine } from './command.ts'
import { describeFrame } from './frame.ts'

describe('typed lines', () => {
  test('send, sync, ack, get, seqs, custom become requests', () => {
    const typed = (line: string) => im.RequestBody.decode(parseLine(line, '7'))
    const send = typed('send group:tea two words')
    expect(send).toMatchObject({ event: 0, reqId: '7' })
    const [message] = im.SendMsgListReq.decode(send.data).msgDataList
    expect(message?.convId).toBe('group:tea')
    expect(Buffer.from(message?.content ?? []).toString()).toBe('two words')
    expect(im.BatchGetMsgListByConvIdReq.decode(typed('sync group:tea 2 4').data).items).toMatchObject([
      { convId: 'group:tea', seqList: ['2', '3', '4'] },
    ])
    expect(im.AckNoticeDataReq.decode(typed('ack n1').data)).toMatchObject({ noticeId: 'n1' })
    expect(im.GetMsgByIdReq.decode(typed('get group:tea-1').data).serverMsgId).toBe('group:tea-1')
    expect(im.BatchGetConvSeqReq.decode(typed('seqs a b').data).convIdList).toEqual(['a', 'b'])
    expect(typed('custom /v1/x hi').event).toBe(100)
  })

  test.each(['hello', 'send', 'send group:tea', 'sync a', 'sync a 5 4', 'sync a 1 1000', 'toString x'])(
    '%s is not understood',
    (line) => expect(() => parseLine(line, '1')).toThrow(/type one of/),
  )
})

test('frames are described, whatever their bytes', () => {
  const reqId = Buffer.from('1')
  const data = encodeError(im.ResponseBody.Code.AuthError, 'not a member')
  const frame = responseFrame({ event: 0, reqId, code: im.ResponseBody.Code.AuthError, data })
  expect(describeFrame(frame.subarray(2))).toBe('answer 1 SendMsgList: AuthError: not a member')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => typeof describeFrame(bytes) === 'string'),
  )
})
