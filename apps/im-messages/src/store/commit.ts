import { sql } from 'kysely'
import type { Session } from '../database/database.ts'
import { limits } from '../limits.ts'
import type { PlacedMessage } from '../message.ts'
import {
  type Committed,
  type Known,
  type MessageName,
  memberKey,
  messageKey,
  type Plan,
  planCommit,
  type Send,
  singlesToCreate,
} from './commit-plan.ts'
import { type Counters, createSingles, lockConversations } from './conversations.ts'
import { bigintArray, intArray, pack, textArray } from './packed.ts'

/**
 * Stores what arrived together, in the transaction of `session`: four statements, however many requests, and three
 * more where conversations of two are made. Each request is stored whole or not at all; when the transaction fails,
 * none of them is.
 */
export async function commit(session: Session, sends: readonly Send[], nowMs: number): Promise<Committed> {
  const convIds = [...new Set(sends.flatMap(({ messages }) => messages.map(({ convId }) => convId)))]
  const conversations = await lockConversations(session, convIds)
  let known: Known = { conversations, ...(await lookUp(session, sends)) }
  const singles = singlesToCreate(sends, known)
  if (singles.size > 0) {
    await createSingles(session, singles, nowMs)
    for (const [convId, counters] of await lockConversations(session, [...singles.keys()])) {
      conversations.set(convId, counters)
    }
    // Another transaction may have made them, and stored the same messages there.
    known = { conversations, ...(await lookUp(session, sends)) }
  }
  const plan = planCommit(sends, known, nowMs)
  await write(session, plan, conversations, nowMs)
  return { ...plan, created: [...singles.keys()] }
}

/** Who of the senders is a member, and what is stored already. In a statement after the lock, to see what it waited for. */
async function lookUp(session: Session, sends: readonly Send[]): Promise<Omit<Known, 'conversations'>> {
  const names = new Map<string, MessageName>()
  const pairs = new Map<string, MessageName>()
  for (const { messages } of sends) {
    for (const message of messages) {
      names.set(messageKey(message), message)
      pairs.set(memberKey(message.convId, message.senderId), message)
    }
  }
  const asked = [...names.values()]
  const senders = [...pairs.values()]
  const { rows } = await sql<{
    what: 'member' | 'stored' | 'delayed'
    sender_id: string
    conv_id: string
    client_msg_id: string
    seq: number
    server_time: number
    body: Uint8Array | null
  }>`
    with asked as (
      select * from unnest(
        ${textArray(asked.map((name) => name.senderId))}, ${textArray(asked.map((name) => name.convId))},
        ${textArray(asked.map((name) => name.clientMsgId))}
      ) as a (sender_id, conv_id, client_msg_id)
    )
    select 'member' as what, user_id as sender_id, conv_id, null as client_msg_id, null as seq, null as server_time,
      null::bytea as body
    from members join unnest(
      ${textArray(senders.map((name) => name.convId))}, ${textArray(senders.map((name) => name.senderId))}
    ) as s (conv_id, user_id) using (conv_id, user_id)
    union all
    select 'stored', sender_id, conv_id, client_msg_id, seq, server_time,
      case when sum(octet_length(body)) over (partition by sender_id order by conv_id, seq)
        <= ${limits.echoBytesMax}::int then body end
    from messages join asked using (sender_id, client_msg_id, conv_id)
    union all
    select 'delayed', sender_id, conv_id, client_msg_id, null, null, null
    from delayed_messages join asked using (sender_id, client_msg_id, conv_id)`.execute(session)

  const members = new Set<string>()
  const stored = new Map<string, PlacedMessage>()
  const delayed = new Set<string>()
  for (const row of rows) {
    const name = { senderId: row.sender_id, convId: row.conv_id, clientMsgId: row.client_msg_id }
    switch (row.what) {
      case 'member':
        members.add(memberKey(row.conv_id, row.sender_id))
        break
      case 'stored':
        stored.set(messageKey(name), {
          convId: row.conv_id,
          seq: row.seq,
          serverTimeMs: row.server_time,
          body: row.body ?? undefined,
        })
        break
      case 'delayed':
        delayed.add(messageKey(name))
        break
      default:
        row.what satisfies never
    }
  }
  return { members, stored, delayed, delayedCounts: await countDelayed(session, sends) }
}

/** How many messages wait of each user who asks for more to wait. */
async function countDelayed(session: Session, sends: readonly Send[]): Promise<Map<string, number>> {
  const asking = sends.filter(({ trusted, dueAtMs }) => !trusted && dueAtMs !== undefined)
  if (asking.length === 0) return new Map()
  const senders = new Set(asking.flatMap(({ messages }) => messages.map(({ senderId }) => senderId)))
  const { rows } = await sql<{ sender_id: string; count: number }>`
    select sender_id, count(*)::int as count from delayed_messages
    where sender_id = any(${textArray([...senders])}) group by sender_id`.execute(session)
  return new Map(rows.map((row) => [row.sender_id, row.count]))
}

async function write(
  session: Session,
  plan: Plan,
  before: ReadonlyMap<string, Counters>,
  nowMs: number,
): Promise<void> {
  if (plan.messages.length > 0) await insertMessages(session, plan, before, nowMs)
  const offline = plan.messages.filter((message) => message.offlinePush)
  if (offline.length > 0) {
    await sql`
      insert into offline_pushes (conv_id, seq, created_at)
      select conv_id, seq, ${nowMs}::bigint
      from unnest(${textArray(offline.map((m) => m.convId))}, ${bigintArray(offline.map((m) => m.seq))})
      as w (conv_id, seq)`.execute(session)
  }
  if (plan.delayed.length > 0) await insertDelayed(session, plan, nowMs)
}

/** Messages, the counters of their conversations, and one row in the outbox for each conversation: one statement. */
async function insertMessages(
  session: Session,
  { messages, counters }: Plan,
  before: ReadonlyMap<string, Counters>,
  nowMs: number,
): Promise<void> {
  const bodies = pack(messages.map((message) => message.body))
  const changed = [...counters].map(([convId, { maxSeq }]) => {
    const was = before.get(convId) as Counters
    return { convId, firstSeq: was.maxSeq + 1, maxSeq, no: was.outboxNo + 1 }
  })
  const bytes = new Map<string, number>()
  for (const { convId, body } of messages) bytes.set(convId, (bytes.get(convId) ?? 0) + body.length)
  await sql`
    with added as (
      insert into messages (conv_id, seq, sender_id, client_msg_id, server_time, body)
      select conv_id, seq, sender_id, client_msg_id, ${nowMs}::bigint, substr(${bodies.blob}::bytea, first_byte, bytes)
      from unnest(
        ${textArray(messages.map((m) => m.convId))}, ${bigintArray(messages.map((m) => m.seq))},
        ${textArray(messages.map((m) => m.senderId))}, ${textArray(messages.map((m) => m.clientMsgId))},
        ${intArray(bodies.from)}, ${intArray(bodies.length)}
      ) as w (conv_id, seq, sender_id, client_msg_id, first_byte, bytes)
    ), changed as (
      select * from unnest(
        ${textArray(changed.map((c) => c.convId))}, ${bigintArray(changed.map((c) => c.no))},
        ${bigintArray(changed.map((c) => c.firstSeq))}, ${bigintArray(changed.map((c) => c.maxSeq))},
        ${intArray(changed.map((c) => bytes.get(c.convId) ?? 0))}
      ) as w (conv_id, no, first_seq, max_seq, bytes)
    ), counted as (
      update conversations c set max_seq = w.max_seq, outbox_no = w.no, updated_at = ${nowMs}::bigint
      from changed w where c.conv_id = w.conv_id and c.conv_id = any(${textArray(changed.map((c) => c.convId))})
    )
    insert into outbox (conv_id, no, kind, first_seq, last_seq, bytes, created_at)
    select conv_id, no, 'messages', first_seq, max_seq, bytes, ${nowMs}::bigint from changed`.execute(session)
}

async function insertDelayed(session: Session, { delayed }: Plan, nowMs: number): Promise<void> {
  const bodies = pack(delayed.map(({ message }) => message.body))
  await sql`
    insert into delayed_messages (conv_id, sender_id, client_msg_id, due_at, accepted_at, batch_index, body)
    select conv_id, sender_id, client_msg_id, due_at, ${nowMs}::bigint, batch_index,
      substr(${bodies.blob}::bytea, first_byte, bytes)
    from unnest(
      ${textArray(delayed.map(({ message }) => message.convId))},
      ${textArray(delayed.map(({ message }) => message.senderId))},
      ${textArray(delayed.map(({ message }) => message.clientMsgId))},
      ${bigintArray(delayed.map(({ dueAtMs }) => dueAtMs))}, ${intArray(delayed.map(({ index }) => index))},
      ${intArray(bodies.from)}, ${intArray(bodies.length)}
    ) as w (conv_id, sender_id, client_msg_id, due_at, batch_index, first_byte, bytes)`.execute(session)
}
