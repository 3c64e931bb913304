import type { ConvQuery, ConvState } from '@carillon/events'
import { parseConversationId } from '../conversation-id.ts'
import type { Database } from '../database/database.ts'
import { limits } from '../limits.ts'
import { badRequest } from '../refusal.ts'
import { conversationSize, memberPage } from '../store/history.ts'

/** `im.conv.get`: how far a conversation has come, and a page of its members. @throws {Refusal} */
export async function getConversation(
  database: Database,
  { convId, after = '' }: ConvQuery,
): Promise<Omit<ConvState, 'error_code' | 'error_reason'>> {
  if (parseConversationId(convId) === undefined) throw badRequest('convId: not a conversation')
  return database.run(async (session) => {
    const size = await conversationSize(session, convId)
    if (size === undefined) throw badRequest(`there is no conversation ${convId}`)
    const page = await memberPage(session, convId, after, limits.membersPageMax + 1)
    const members = page.slice(0, limits.membersPageMax)
    const last = members.at(-1)?.userId
    return {
      convId,
      maxSeq: String(size.maxSeq),
      memberCount: size.members,
      members: members.map(({ userId, minSeq }) => ({ userId, minSeq: String(minSeq) })),
      ...(page.length > members.length && last !== undefined && { next: last }),
    }
  })
}
