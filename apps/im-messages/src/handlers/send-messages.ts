import { countField, decodeProto, im } from '@carillon/codec'
import type { Caller } from '../caller.ts'
import type { GroupCommit } from '../group-commit.ts'
import { limits } from '../limits.ts'
import { acceptMessage } from '../message.ts'
import { badRequest } from '../refusal.ts'
import type { Send } from '../store/commit-plan.ts'

const MESSAGES_FIELD = 2
const RESPONSE = im.SendMsgListResp.encode({}).finish()

/** SendMsgList: answered when all messages are committed; none of them is when it is refused. @throws {Refusal} */
export async function sendMessages(
  group: GroupCommit,
  { userId }: Caller,
  data: Uint8Array,
  nowMs: number,
): Promise<Uint8Array> {
  const outcome = await group.submit(parseSend(data, userId, nowMs))
  if (!outcome.ok) throw outcome.refusal
  return RESPONSE
}

/** @throws {Refusal} */
export function parseSend(data: Uint8Array, userId: string, nowMs: number): Send {
  if (data.length > limits.batchBytesMax) {
    throw badRequest(`the messages have more than ${limits.batchBytesMax} bytes`)
  }
  checkCount(countField(data, MESSAGES_FIELD))
  const request = decodeProto(im.SendMsgListReq, data)
  if (request === undefined) throw badRequest('data is not a SendMsgListReq')
  return {
    messages: request.msgDataList.map((message) => acceptMessage(message, userId, nowMs)),
    trusted: false,
    dueAtMs: dueAt(request.deliverAfter, nowMs),
  }
}

/** @throws {Refusal} */
export function checkCount(messages: number): void {
  if (messages === 0) throw badRequest('there are no messages')
  if (messages > limits.batchMessagesMax) {
    throw badRequest(`there are more than ${limits.batchMessagesMax} messages`)
  }
}

/** When messages are due, or undefined where that is now. @throws {Refusal} */
export function dueAt(deliverAfterS: number | null | undefined, nowMs: number): number | undefined {
  if (!deliverAfterS) return undefined
  if (deliverAfterS < 0 || deliverAfterS > limits.deliverAfterSecondsMax) {
    throw badRequest(`deliverAfter must be from 0 to ${limits.deliverAfterSecondsMax} seconds`)
  }
  return nowMs + deliverAfterS * 1_000
}
