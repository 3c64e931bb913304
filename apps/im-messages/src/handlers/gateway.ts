import type { im } from '@carillon/codec'
import { LIST_ITEM_OVERHEAD_BYTES } from '@carillon/codec'
import { isUserId, parseSeq } from '../conversation-id.ts'
import type { Database } from '../database/database.ts'
import { limits } from '../limits.ts'
import { printStored } from '../message.ts'
import { badRequest } from '../refusal.ts'
import { maxSeqs, membershipsOf, messagesAfter } from '../store/history.ts'

/** Conversations: a page of what a user is a member of. @throws {Refusal} */
export async function listConversations(
  database: Database,
  { userId, after }: im.rpc.ConversationsReq,
): Promise<im.rpc.ConversationsResp.$Properties> {
  if (!isUserId(userId)) throw badRequest('userId is not the id of a user')
  const limit = limits.conversationsPageMax
  const page = await database.run((session) => membershipsOf(session, userId, after, limit))
  const memberships = page.map(({ convId, version, maxSeq, minSeq }) => ({
    convId,
    version: String(version),
    maxSeq: String(maxSeq),
    minSeq: String(minSeq),
  }))
  return { memberships, more: page.length === limit }
}

/** CatchUp: what was stored after the given places. Ends early when the answer is full. @throws {Refusal} */
export async function catchUp(
  database: Database,
  { items }: im.rpc.CatchUpReq,
): Promise<im.rpc.CatchUpResp.$Properties> {
  if (items.length > limits.catchUpConversationsMax) {
    throw badRequest(`more than ${limits.catchUpConversationsMax} conversations at once`)
  }
  const asked = items.map(({ convId, afterSeq }) => {
    const seq = parseSeq(afterSeq || '0')
    if (!convId || seq === undefined) throw badRequest('an item is not understood')
    return { convId, seq }
  })
  const known = await database.run((session) =>
    maxSeqs(session, [...new Set(asked.map(({ convId }) => convId))]),
  )
  const answered: im.rpc.CatchUpResp.Item.$Properties[] = []
  let bytes = 0
  for (const place of asked) {
    const { convId, seq } = place
    const maxSeq = known.get(convId) ?? 0
    const found =
      maxSeq > seq
        ? await database.run((session) => messagesAfter(session, place, limits.catchUpMessagesMax))
        : []
    const messages: Uint8Array[] = []
    let lastSeq = seq
    let full = false
    for (const message of found) {
      const printed = printStored(message)
      bytes += printed.length + LIST_ITEM_OVERHEAD_BYTES
      full = bytes > limits.answerBytesMax && answered.length + messages.length > 0
      if (full) break
      messages.push(printed)
      lastSeq = message.seq
    }
    // Sequence numbers that retention has taken: there is nothing to come for them.
    if (!full && found.length < limits.catchUpMessagesMax) lastSeq = Math.max(maxSeq, lastSeq)
    bytes += convId.length + 64
    answered.push({ convId, maxSeq: String(Math.max(maxSeq, lastSeq)), lastSeq: String(lastSeq), messages })
    if (bytes > limits.answerBytesMax) break
  }
  return { items: answered }
}
