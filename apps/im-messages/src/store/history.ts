import { sql } from 'kysely'
import type { Session } from '../database/database.ts'
import type { StoredMessage } from '../message.ts'
import { bigintArray, textArray } from './packed.ts'

/** A conversation as one of its members sees it. */
export interface Membership {
  readonly convId: string
  /** Exclusive: what was sent before joining is not seen. */
  readonly minSeq: number
  readonly maxSeq: number
  readonly updatedAtMs: number
  /** Counts commits and changes of members. */
  readonly version: number
}

interface MembershipRow {
  readonly conv_id: string
  readonly min_seq: number
  readonly max_seq: number
  readonly updated_at: number
  readonly outbox_no: number
}

const membership = (row: MembershipRow): Membership => ({
  convId: row.conv_id,
  minSeq: row.min_seq,
  maxSeq: row.max_seq,
  updatedAtMs: row.updated_at,
  version: row.outbox_no,
})

/** Those of these conversations that a user is a member of. */
export async function membershipsIn(
  session: Session,
  userId: string,
  convIds: readonly string[],
): Promise<Map<string, Membership>> {
  const { rows } = await sql<MembershipRow>`
    select m.conv_id, m.min_seq, c.max_seq, c.updated_at, c.outbox_no
    from members m join conversations c using (conv_id)
    where m.conv_id = any(${textArray(convIds)}) and m.user_id = ${userId}`.execute(session)
  return new Map(rows.map((row) => [row.conv_id, membership(row)]))
}

/** A page of all conversations of a user, in the order of their ids, after `after`. */
export async function membershipsOf(
  session: Session,
  userId: string,
  after: string,
  limit: number,
): Promise<Membership[]> {
  const { rows } = await sql<MembershipRow>`
    select m.conv_id, m.min_seq, c.max_seq, c.updated_at, c.outbox_no
    from (
      select conv_id, min_seq from members
      where user_id = ${userId} and conv_id > ${after} order by conv_id limit ${limit}
    ) as m join conversations c using (conv_id) order by m.conv_id`.execute(session)
  return rows.map(membership)
}

interface MessageRow {
  readonly conv_id: string
  readonly seq: number
  readonly server_time: number
  readonly body: Uint8Array
}

const message = (row: MessageRow): StoredMessage => ({
  convId: row.conv_id,
  seq: row.seq,
  serverTimeMs: row.server_time,
  body: row.body,
})

export interface Place {
  readonly convId: string
  readonly seq: number
}

/** The messages that stand at these places, in no order. */
export async function messagesAt(session: Session, places: readonly Place[]): Promise<StoredMessage[]> {
  if (places.length === 0) return []
  const { rows } = await sql<MessageRow>`
    select conv_id, seq, server_time, body
    from unnest(
      ${textArray(places.map((place) => place.convId))}, ${bigintArray(places.map((place) => place.seq))}
    ) as w (conv_id, seq) join messages using (conv_id, seq)`.execute(session)
  return rows.map(message)
}

/**
 * As {@link messagesAt}, of as many places from the front as hold so many bytes, and of the one with which they hold more:
 * what is not needed is not read.
 */
export async function firstMessagesAt(
  session: Session,
  places: readonly Place[],
  bytesMax: number,
): Promise<StoredMessage[]> {
  if (places.length === 0) return []
  const { rows } = await sql<MessageRow>`
    select conv_id, seq, server_time, body from (
      select conv_id, seq, server_time, body,
        sum(octet_length(body)) over (order by place) - octet_length(body) as bytes_before
      from unnest(
        ${textArray(places.map((place) => place.convId))}, ${bigintArray(places.map((place) => place.seq))}
      ) with ordinality as w (conv_id, seq, place) join messages using (conv_id, seq)
    ) as m where bytes_before <= ${bytesMax}::bigint`.execute(session)
  return rows.map(message)
}

/** A user's own message by the id the client gave it, in a conversation that the user is still a member of. */
export async function messageByClientMsgId(
  session: Session,
  userId: string,
  clientMsgId: string,
): Promise<StoredMessage | undefined> {
  // The same id in several conversations: the newest message.
  const { rows } = await sql<MessageRow>`
    select m.conv_id, m.seq, m.server_time, m.body
    from messages m join members u on u.conv_id = m.conv_id and u.user_id = m.sender_id
    where m.sender_id = ${userId} and m.client_msg_id = ${clientMsgId} and m.seq > u.min_seq
    order by m.server_time desc limit 1`.execute(session)
  return rows[0] && message(rows[0])
}

/** What stands in a conversation after a place, oldest first. */
export async function messagesAfter(
  session: Session,
  { convId, seq }: Place,
  limit: number,
): Promise<StoredMessage[]> {
  const { rows } = await sql<MessageRow>`
    select conv_id, seq, server_time, body from messages
    where conv_id = ${convId} and seq > ${seq}::bigint order by seq limit ${limit}`.execute(session)
  return rows.map(message)
}

/** The highest sequence numbers of conversations; those that do not exist are missing. */
export async function maxSeqs(session: Session, convIds: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await sql<{ conv_id: string; max_seq: number }>`
    select conv_id, max_seq from conversations where conv_id = any(${textArray(convIds)})`.execute(session)
  return new Map(rows.map((row) => [row.conv_id, row.max_seq]))
}

/** The members of a conversation. */
export async function membersOf(session: Session, convId: string): Promise<string[]> {
  const { rows } = await sql<{ user_id: string }>`
    select user_id from members where conv_id = ${convId}`.execute(session)
  return rows.map((row) => row.user_id)
}

/** How far a conversation has come and how many members it has; undefined where there is none. */
export async function conversationSize(
  session: Session,
  convId: string,
): Promise<{ readonly maxSeq: number; readonly members: number } | undefined> {
  const { rows } = await sql<{ max_seq: number; members: number }>`
    select max_seq, (select count(*) from members where conv_id = ${convId})::int as members
    from conversations where conv_id = ${convId}`.execute(session)
  return rows[0] && { maxSeq: rows[0].max_seq, members: rows[0].members }
}

/** A page of a conversation's members, in the order of their ids, after `after`. */
export async function memberPage(
  session: Session,
  convId: string,
  after: string,
  limit: number,
): Promise<{ readonly userId: string; readonly minSeq: number }[]> {
  const { rows } = await sql<{ user_id: string; min_seq: number }>`
    select user_id, min_seq from members
    where conv_id = ${convId} and user_id > ${after} order by user_id limit ${limit}`.execute(session)
  return rows.map((row) => ({ userId: row.user_id, minSeq: row.min_seq }))
}
