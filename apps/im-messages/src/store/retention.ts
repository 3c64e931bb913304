import { sql } from 'kysely'
import type { Session } from '../database/database.ts'

/** Rows that one statement looks at: a step is short, and nobody waits for it. */
export const RETENTION_STEP = 1_000

/** Deletes the oldest messages from before a time; answers how many. */
export async function deleteMessages(session: Session, sentBeforeMs: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from messages where (conv_id, seq) in (
      select conv_id, seq from messages where server_time < ${sentBeforeMs}::bigint
      order by server_time limit ${RETENTION_STEP} for update skip locked
    )`.execute(session)
  return Number(numAffectedRows)
}

/** Where a walk over the old notices stands. */
export interface NoticePlace {
  readonly createdAtMs: number
  readonly userId: string
  readonly pos: number
}
export const FIRST_NOTICE: NoticePlace = { createdAtMs: 0, userId: '', pos: 0 }

/**
 * Looks at the next old notices, and deletes those that every device of their user has acknowledged; answers where to
 * go on, or undefined at the end. Notices that are still pending stay, however old.
 */
export async function deleteAcknowledgedNotices(
  session: Session,
  createdBeforeMs: number,
  after: NoticePlace,
): Promise<{ readonly deleted: number; readonly next: NoticePlace | undefined }> {
  const { rows } = await sql<{ user_id: string; pos: number; created_at: number; acknowledged: boolean }>`
    select n.user_id, n.pos, n.created_at,
      exists (select from notice_devices d where d.user_id = n.user_id) and not exists (
        select from notice_devices d
        left join notice_cursors c on c.user_id = d.user_id and c.device = d.device and c.conv_id = n.conv_id
        where d.user_id = n.user_id and n.pos > greatest(d.floor_pos, coalesce(c.pos, 0))
      ) as acknowledged
    from notices n
    where n.created_at < ${createdBeforeMs}::bigint
      and (n.created_at, n.user_id, n.pos) > (${after.createdAtMs}::bigint, ${after.userId}, ${after.pos}::bigint)
    order by n.created_at, n.user_id, n.pos limit ${RETENTION_STEP}`.execute(session)
  const done = rows.filter((row) => row.acknowledged)
  if (done.length > 0) {
    await sql`
      delete from notices n using unnest(
        ${done.map((row) => row.user_id)}::text[], ${done.map((row) => row.pos)}::bigint[]
      ) as w (user_id, pos) where n.user_id = w.user_id and n.pos = w.pos`.execute(session)
  }
  const last = rows.length === RETENTION_STEP ? rows.at(-1) : undefined
  return {
    deleted: done.length,
    next: last && { createdAtMs: last.created_at, userId: last.user_id, pos: last.pos },
  }
}

/** Forgets devices that were not seen since a time, but never the one of its user that was seen last. */
export async function forgetDevices(session: Session, seenBeforeMs: number): Promise<number> {
  const { rows } = await sql<{ device: string }>`
    with old as (
      select user_id, device from notice_devices d
      where seen_at < ${seenBeforeMs}::bigint and exists (
        select from notice_devices other where other.user_id = d.user_id
          and (other.seen_at, other.device) > (d.seen_at, d.device)
      ) order by seen_at limit ${RETENTION_STEP}
    ), cursors as (
      delete from notice_cursors c using old where c.user_id = old.user_id and c.device = old.device
    )
    delete from notice_devices d using old
    where d.user_id = old.user_id and d.device = old.device returning d.device`.execute(session)
  return rows.length
}
