import { randomUUID } from 'node:crypto'
import { decodeProto, im } from '@carillon/codec'
import type { ImNotice } from '@carillon/events'
import { type Caller, readCaller } from '../caller.ts'
import { parseConversationId } from '../conversation-id.ts'
import type { Database } from '../database/database.ts'
import { limits } from '../limits.ts'
import { badRequest } from '../refusal.ts'
import { acknowledgeNotice, pendingNotices, storeNotice } from '../store/inbox.ts'
import { wellFormed } from '../well-formed.ts'

const ACKNOWLEDGED = im.AckNoticeDataResp.encode({}).finish()
const ID_BYTES_MAX = 256

/** AckNotice: moves the device's position. What is not known is not an error. @throws {Refusal} */
export async function ackNotice(
  database: Database,
  caller: Caller,
  data: Uint8Array,
  nowMs: number,
): Promise<Uint8Array> {
  const request = decodeProto(im.AckNoticeDataReq, data)
  if (request === undefined) throw badRequest('data is not an AckNoticeDataReq')
  const { noticeId, convId } = request
  const known = [noticeId, convId].every((id) => Buffer.byteLength(id) <= ID_BYTES_MAX && !id.includes('\0'))
  if (known) await database.run((session) => acknowledgeNotice(session, caller, convId, noticeId, nowMs))
  return ACKNOWLEDGED
}

/** PendingNotices: the first ones that the device has not acknowledged. @throws {Refusal} */
export async function listPendingNotices(
  database: Database,
  request: im.rpc.PendingNoticesReq,
  nowMs: number,
): Promise<im.rpc.PendingNoticesResp.$Properties> {
  const caller = readCaller(request.caller)
  const limit = Math.min(request.limit || limits.noticesInFlightMax, limits.noticesInFlightMax)
  const { notices, more } = await pendingNotices(database, caller, limit, nowMs)
  let bytes = 0
  const fitting = notices.filter((notice, i) => {
    bytes += notice.length
    return i === 0 || bytes <= limits.answerBytesMax
  })
  return { notices: [...fitting], more: more || fitting.length < notices.length }
}

/**
 * A notice for users: stored for each, or, where it is for who is online now, handed to `pushOnce`. Answers its id.
 * @throws {Refusal}
 */
export async function sendNotice(
  database: Database,
  { userIds, notice }: ImNotice,
  nowMs: number,
  pushOnce: (userIds: readonly string[], body: Uint8Array) => Promise<void>,
): Promise<string> {
  if (parseConversationId(notice.convId) === undefined) {
    throw badRequest('convId is not the id of a conversation')
  }
  const noticeId = randomUUID()
  const body = im.NoticeData.encode({
    ...notice,
    title: wellFormed(notice.title),
    noticeId,
    createTime: String(nowMs),
    content: Buffer.from(notice.content, 'base64'),
    options: notice.options ?? {},
    ...(notice.ext !== undefined && { ext: Buffer.from(notice.ext, 'base64') }),
  } as im.NoticeData.$Properties).finish()
  if (body.length > limits.noticeBytesMax) {
    throw badRequest(`the notice has more than ${limits.noticeBytesMax} bytes`)
  }
  const receivers = [...new Set(userIds)]
  if (body.length * receivers.length > limits.noticeBatchBytesMax) {
    throw badRequest(
      `the notice has more than ${limits.noticeBatchBytesMax} bytes for all its users together`,
    )
  }
  if (notice.options?.onlinePushOnce) await pushOnce(receivers, body)
  else {
    await database.run((session) =>
      storeNotice(session, receivers, { convId: notice.convId, noticeId, body }, nowMs),
    )
  }
  return noticeId
}
