import { countField, decodeProto, im } from '@carillon/codec'
import type { Caller } from '../caller.ts'
import type { Database } from '../database/database.ts'
import { limits } from '../limits.ts'
import { badRequest } from '../refusal.ts'
import { membershipsIn } from '../store/history.ts'

const CONVERSATIONS_FIELD = 2

/**
 * SyncConvSeq: an entry for every conversation that was asked for. Those that the user is no member of, or that do not
 * exist, have zeros: which of the two it is, is nobody's business. @throws {Refusal}
 */
export async function syncSeqs(
  database: Database,
  { userId }: Caller,
  data: Uint8Array,
): Promise<Uint8Array> {
  const convIds = parseConvIds(data)
  const known = await database.run((session) => membershipsIn(session, userId, convIds.filter(isStorable)))
  // Without a prototype: any text is a key.
  const convSeqMap: Record<string, im.BatchGetConvSeqResp.ConvSeq.$Properties> = Object.create(null)
  for (const convId of convIds) {
    const membership = known.get(convId)
    convSeqMap[convId] = {
      convId,
      minSeq: String(membership?.minSeq ?? 0),
      maxSeq: String(membership?.maxSeq ?? 0),
      updateTime: String(membership?.updatedAtMs ?? 0),
    }
  }
  return im.BatchGetConvSeqResp.encode({ convSeqMap }).finish()
}

/** @throws {Refusal} */
export function parseConvIds(data: Uint8Array): string[] {
  if (countField(data, CONVERSATIONS_FIELD) > limits.syncConversationsMax) {
    throw badRequest(`more than ${limits.syncConversationsMax} conversations at once`)
  }
  if (data.length > limits.syncConversationsBytesMax) {
    throw badRequest(`the ids of the conversations have more than ${limits.syncConversationsBytesMax} bytes`)
  }
  const request = decodeProto(im.BatchGetConvSeqReq, data)
  if (request === undefined) throw badRequest('data is not a BatchGetConvSeqReq')
  return [...new Set(request.convIdList)]
}

/** PostgreSQL's text has no NUL. */
const isStorable = (text: string) => !text.includes('\0')
