import { im } from '@carillon/codec'
import { sql } from 'kysely'
import type { Session } from '../database/database.ts'
import { bigintArray, intArray, pack, textArray } from './packed.ts'

/** A conversation's counters, while its row is locked. */
export interface Counters {
  readonly maxSeq: number
  readonly outboxNo: number
}

/**
 * Locks conversations, in one order for everybody, and reads their counters. Whoever writes anything of a
 * conversation holds this lock: sequence numbers and outbox numbers are given under it, and committed in their order.
 */
export async function lockConversations(
  session: Session,
  convIds: readonly string[],
): Promise<Map<string, Counters>> {
  const { rows } = await sql<{ conv_id: string; max_seq: number; outbox_no: number }>`
    select conv_id, max_seq, outbox_no from conversations
    where conv_id = any(${textArray(convIds)})
    order by conv_id for update`.execute(session)
  return new Map(rows.map((row) => [row.conv_id, { maxSeq: row.max_seq, outboxNo: row.outbox_no }]))
}

/**
 * Makes conversations of two users that do not exist yet, with their members, and says so in the outbox. Those that
 * another transaction makes meanwhile are left to it.
 */
export async function createSingles(
  session: Session,
  singles: ReadonlyMap<string, readonly [string, string]>,
  nowMs: number,
): Promise<void> {
  const convIds = [...singles.keys()]
  const pairs = [...singles.values()]
  const changes = pack(
    [...singles].map(([convId, members]) =>
      im.rpc.MembersChanged.encode({ convId, version: '1', maxSeq: '0', added: [...members] }).finish(),
    ),
  )
  await sql`
    with wanted as (
      select * from unnest(
        ${textArray(convIds)}, ${textArray(pairs.map(([a]) => a))}, ${textArray(pairs.map(([, b]) => b))},
        ${intArray(changes.from)}, ${intArray(changes.length)}
      ) as w (conv_id, a, b, first_byte, bytes)
    ), made as (
      insert into conversations (conv_id, outbox_no, updated_at)
      select conv_id, 1, ${nowMs}::bigint from wanted order by conv_id
      on conflict do nothing returning conv_id
    ), joined as (
      insert into members (conv_id, user_id, min_seq, joined_at)
      select conv_id, unnest(array[a, b]), 0, ${nowMs}::bigint from wanted join made using (conv_id)
    )
    insert into outbox (conv_id, no, kind, payload, bytes, created_at)
    select conv_id, 1, 'members', substr(${changes.blob}::bytea, first_byte, bytes), bytes, ${nowMs}::bigint
    from wanted join made using (conv_id)`.execute(session)
}

/** Makes a conversation without members, if it does not exist. */
export async function createConversation(session: Session, convId: string, nowMs: number): Promise<void> {
  await sql`
    insert into conversations (conv_id, updated_at) values (${convId}, ${nowMs}::bigint)
    on conflict do nothing`.execute(session)
}

/** Members are published in pieces of so many: a NATS message holds 1 MiB. */
const MEMBERS_IN_CHANGE_MAX = 5_000

export interface MembersChange {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/** Writes a change of members of a locked conversation, and says so in the outbox. */
export async function changeMembers(
  session: Session,
  convId: string,
  { maxSeq, outboxNo }: Counters,
  { added, removed }: MembersChange,
  nowMs: number,
): Promise<void> {
  if (added.length + removed.length === 0) return
  if (removed.length > 0) {
    await sql`
      delete from members where conv_id = ${convId} and user_id = any(${textArray(removed)})`.execute(session)
  }
  if (added.length > 0) {
    await sql`
      insert into members (conv_id, user_id, min_seq, joined_at)
      select ${convId}, user_id, ${maxSeq}::bigint, ${nowMs}::bigint from unnest(${textArray(added)}) as w (user_id)
      `.execute(session)
  }
  const changes = inPieces({ added, removed }).map((piece, i) =>
    im.rpc.MembersChanged.encode({
      convId,
      version: String(outboxNo + i + 1),
      maxSeq: String(maxSeq),
      added: [...piece.added],
      removed: [...piece.removed],
    }).finish(),
  )
  const packed = pack(changes)
  await sql`
    with counted as (
      update conversations set outbox_no = ${outboxNo + changes.length}::bigint, updated_at = ${nowMs}::bigint
      where conv_id = ${convId}
    )
    insert into outbox (conv_id, no, kind, payload, bytes, created_at)
    select ${convId}, no, 'members', substr(${packed.blob}::bytea, first_byte, bytes), bytes, ${nowMs}::bigint
    from unnest(
      ${bigintArray(changes.map((_, i) => outboxNo + i + 1))}, ${intArray(packed.from)}, ${intArray(packed.length)}
    ) as w (no, first_byte, bytes)`.execute(session)
}

function inPieces({ added, removed }: MembersChange): MembersChange[] {
  const pieces: MembersChange[] = []
  for (let at = 0; at < removed.length; at += MEMBERS_IN_CHANGE_MAX) {
    pieces.push({ added: [], removed: removed.slice(at, at + MEMBERS_IN_CHANGE_MAX) })
  }
  for (let at = 0; at < added.length; at += MEMBERS_IN_CHANGE_MAX) {
    pieces.push({ added: added.slice(at, at + MEMBERS_IN_CHANGE_MAX), removed: [] })
  }
  return pieces
}
