import { readFileSync } from 'node:fs'
import { im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { tableRows } from '@carillon/testkit'
import { expect, test } from '@jest/globals'
import { limits } from '../src/limits.ts'

const page = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8')
const plain = (cell: string | undefined) => (cell ?? '').replaceAll('`', '')

test('PROTOCOL.md has the codes and the limits of the code', () => {
  const codes = tableRows(page, 'Codes').map(([code, value]) => [plain(code), Number(value)])
  expect(Object.fromEntries(codes)).toEqual(
    Object.fromEntries(
      Object.entries(proto.ResponseBody.Code).filter(([, value]) => typeof value === 'number'),
    ),
  )
  const documented = tableRows(page, 'Limits').map(([name, value]) => [plain(name), Number(value)])
  expect(Object.fromEntries(documented)).toEqual(limits)
})

test('PROTOCOL.md has every subject that this service serves', () => {
  const documented = ['Requests of gateways', 'Requests of internal services'].flatMap((heading) =>
    tableRows(page, heading).map(([subject]) => plain(subject)),
  )
  const served = Object.values(im)
    .filter((channel) => 'reply' in channel && channel.direction === 'receive')
    .map(({ pattern }) => pattern)
  expect(documented.sort()).toEqual(served.sort())
})

test('the numbers of proto/client.proto are those that clients have', () => {
  const file = readFileSync(new URL('../../../proto/client.proto', import.meta.url), 'utf8')
  const fields = (message: string) => {
    const body = new RegExp(`message ${message} \\{([\\s\\S]*?)\\n\\}`).exec(file)?.[1] ?? ''
    const own = body.replace(/ {2}message [\s\S]*?\n {2}\}/g, '')
    return Object.fromEntries(
      [...own.matchAll(/(\w+) = (\d+);/g)].map(([, name, number]) => [name, Number(number)]),
    )
  }
  expect(fields('MsgData')).toEqual({
    clientMsgId: 1,
    serverMsgId: 2,
    clientTime: 3,
    serverTime: 4,
    senderId: 11,
    senderInfo: 12,
    convId: 21,
    atUsers: 22,
    contentType: 31,
    content: 32,
    seq: 33,
    options: 41,
    offlinePush: 42,
    ext: 100,
  })
  expect(fields('NoticeData')).toEqual({
    convId: 1,
    unreadCount: 2,
    unreadAbsolute: 3,
    noticeId: 11,
    createTime: 12,
    title: 13,
    contentType: 14,
    content: 15,
    options: 21,
    ext: 31,
  })
  expect(fields('SendMsgListReq')).toEqual({ msgDataList: 2, deliverAfter: 11 })
  expect(fields('RequestBody')).toEqual({ event: 1, reqId: 2, data: 3 })
  expect(fields('CommonResp')).toEqual({ code: 1, msg: 2, data: 3 })
})
