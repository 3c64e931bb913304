import { sql } from 'kysely'
import type { Database, Session } from '../database/database.ts'
import { printStored } from '../message.ts'
import { bigintArray, textArray } from './packed.ts'

/** Something that was committed, to be published. */
export type Entry =
  | {
      readonly kind: 'messages'
      readonly convId: string
      readonly lastSeq: number
      readonly messages: Uint8Array[]
    }
  | { readonly kind: 'members' | 'unstored'; readonly convId: string; readonly payload: Uint8Array }

/** Publishes and answers when the broker has all of it. */
export type Publish<E> = (entries: readonly E[]) => Promise<void>

interface Row {
  readonly conv_id: string
  readonly no: number
  readonly kind: 'messages' | 'members' | 'unstored'
  readonly first_seq: number | null
  readonly last_seq: number | null
  readonly payload: Uint8Array | null
  readonly bytes: number
}

const ROWS_MAX = 1_000
const BYTES_MAX = 8 * 1024 * 1024

/**
 * Publishes what stands in the outbox for these conversations, in the order of each, and takes it out. Answers whether
 * there may be more.
 *
 * The rows stay locked while they are published: another instance that has something newer of the same conversation
 * waits, and publishes after. When this process dies in between, its locks go and the rows stay, so that whoever comes
 * next publishes them, again perhaps. Taking them out need not survive a crash of the database for the same reason.
 */
export async function drainOutbox(
  database: Database,
  convIds: readonly string[],
  publish: Publish<Entry>,
): Promise<boolean> {
  const drain = async (session: Session): Promise<boolean> => {
    const lock = database.shared ? sql`for update` : sql``
    const { rows } = await sql<Row>`
      select conv_id, no, kind, first_seq, last_seq, payload, bytes from outbox
      where conv_id = any(${textArray(convIds)}) order by conv_id, no limit ${ROWS_MAX} ${lock}`.execute(
      session,
    )
    const taken = firstBytes(rows)
    if (taken.length === 0) return false
    await publish(await entriesOf(session, taken))
    await sql`
      delete from outbox o using unnest(
        ${textArray(taken.map((row) => row.conv_id))}, ${bigintArray(taken.map((row) => row.no))}
      ) as w (conv_id, no) where o.conv_id = w.conv_id and o.no = w.no`.execute(session)
    return taken.length < rows.length || rows.length === ROWS_MAX
  }
  // One process alone needs no locks, and must not hold its only connection while it waits for the broker.
  return database.shared ? database.relaxedTransaction(drain) : database.run(drain)
}

/** As many as may be in memory at once, at least one. */
export function firstBytes<R extends { readonly bytes: number }>(rows: readonly R[]): readonly R[] {
  let bytes = 0
  const end = rows.findIndex((row, i) => {
    bytes += row.bytes
    return i > 0 && bytes > BYTES_MAX
  })
  return end < 0 ? rows : rows.slice(0, end)
}

async function entriesOf(session: Session, rows: readonly Row[]): Promise<Entry[]> {
  const ranges = rows.filter((row) => row.kind === 'messages')
  const messages = new Map<string, Uint8Array[]>()
  if (ranges.length > 0) {
    const found = await sql<{
      no: number
      conv_id: string
      seq: number
      server_time: number
      body: Uint8Array
    }>`
      select r.no, r.conv_id, m.seq, m.server_time, m.body
      from unnest(
        ${textArray(ranges.map((row) => row.conv_id))}, ${bigintArray(ranges.map((row) => row.no))},
        ${bigintArray(ranges.map((row) => row.first_seq))}, ${bigintArray(ranges.map((row) => row.last_seq))}
      ) as r (conv_id, no, first_seq, last_seq)
      cross join lateral (
        -- Each range from the index: without the offset the planner may join, and read the whole table for it.
        select seq, server_time, body from messages
        where conv_id = r.conv_id and seq between r.first_seq and r.last_seq offset 0
      ) as m
      order by r.conv_id, m.seq`.execute(session)
    for (const { no, conv_id: convId, seq, server_time: serverTimeMs, body } of found.rows) {
      const key = `${no} ${convId}`
      const printed = printStored({ convId, seq, serverTimeMs, body })
      const list = messages.get(key)
      if (list === undefined) messages.set(key, [printed])
      else list.push(printed)
    }
  }
  return rows.flatMap((row): Entry[] => {
    const { conv_id: convId, kind } = row
    if (kind !== 'messages') return [{ kind, convId, payload: row.payload as Uint8Array }]
    const list = messages.get(`${row.no} ${convId}`)
    // Retention may have been there first.
    return list === undefined ? [] : [{ kind, convId, lastSeq: row.last_seq as number, messages: list }]
  })
}

/**
 * Conversations with something in the outbox that is older than this, or further in the future: written by a clock
 * that was ahead, whose time may be long in coming.
 */
export async function outboxLeftOver(database: Database, nowMs: number, ageMs: number): Promise<string[]> {
  const { rows } = await database.run((session) =>
    sql<{ conv_id: string }>`
      select distinct conv_id from outbox where created_at <= ${nowMs - ageMs}::bigint or created_at > ${nowMs + ageMs}::bigint
      limit 1000`.execute(session),
  )
  return rows.map((row) => row.conv_id)
}

/** Writes a message that is pushed and not stored into the outbox of a locked conversation. */
export async function putUnstored(
  session: Session,
  convId: string,
  payload: Uint8Array,
  nowMs: number,
): Promise<void> {
  await sql`
    with counted as (
      update conversations set outbox_no = outbox_no + 1 where conv_id = ${convId} returning outbox_no
    )
    insert into outbox (conv_id, no, kind, payload, bytes, created_at)
    select ${convId}, outbox_no, 'unstored', ${payload}::bytea, ${payload.length}::int, ${nowMs}::bigint
    from counted`.execute(session)
}
