import { sql } from 'kysely'
import type { Database } from '../database/database.ts'
import { printUnstored, reopenMessage } from '../message.ts'
import { commit } from './commit.ts'
import type { Committed, Send } from './commit-plan.ts'
import { lockConversations } from './conversations.ts'
import { putUnstored } from './outbox.ts'
import { textArray } from './packed.ts'

const CONVERSATIONS_MAX = 100
const MESSAGES_MAX = 500

/**
 * Gives messages that are due their place, and answers in which conversations that was and whether there may be more.
 * They leave the table of delayed messages in the transaction that stores them: with any number of instances, each is
 * sent once. Conversations are locked first, as by everybody who writes.
 */
export async function sendDue(
  database: Database,
  nowMs: number,
): Promise<{
  readonly done: Committed | undefined
  readonly convIds: readonly string[]
  readonly more: boolean
}> {
  const due = await database.run((session) =>
    sql<{ conv_id: string }>`
      select distinct conv_id from (
        select conv_id from delayed_messages where due_at <= ${nowMs}::bigint order by due_at limit ${MESSAGES_MAX}
      ) as first limit ${CONVERSATIONS_MAX}`.execute(session),
  )
  const convIds = due.rows.map((row) => row.conv_id)
  if (convIds.length === 0) return { done: undefined, convIds, more: false }
  const done = await database.transaction(async (session) => {
    await lockConversations(session, convIds)
    const { rows } = await sql<{
      body: Uint8Array
      due_at: number
      accepted_at: number
      batch_index: number
    }>`
      delete from delayed_messages where (sender_id, client_msg_id, conv_id) in (
        select sender_id, client_msg_id, conv_id from delayed_messages
        where conv_id = any(${textArray(convIds)}) and due_at <= ${nowMs}::bigint
        order by due_at, accepted_at, batch_index limit ${MESSAGES_MAX}
      ) returning body, due_at, accepted_at, batch_index`.execute(session)
    rows.sort((a, b) => a.due_at - b.due_at || a.accepted_at - b.accepted_at || a.batch_index - b.batch_index)
    const sends: Send[] = rows.map(({ body }) => ({ messages: [reopenMessage(body)], trusted: true }))
    if (sends.length === 0) return undefined
    const committed = await commit(session, sends, nowMs)
    for (const outcome of committed.outcomes) {
      for (const receipt of outcome.ok ? outcome.receipts : []) {
        if (receipt.type !== 'unstored') continue
        const { message } = receipt
        await putUnstored(session, message.convId, printUnstored(message, nowMs), nowMs)
      }
    }
    return committed
  })
  return { done, convIds, more: true }
}
