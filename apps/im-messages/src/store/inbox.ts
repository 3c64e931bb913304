import { sql } from 'kysely'
import type { Database, Session } from '../database/database.ts'
import { limits } from '../limits.ts'
import { firstBytes, type Publish } from './outbox.ts'
import { bigintArray, textArray } from './packed.ts'

export interface StoredNotice {
  readonly convId: string
  readonly noticeId: string
  readonly body: Uint8Array
}

/** Stores a notice for each of these users, at the end of each one's inbox: one statement. */
export async function storeNotice(
  session: Session,
  userIds: readonly string[],
  { convId, noticeId, body }: StoredNotice,
  nowMs: number,
): Promise<void> {
  await sql`
    with placed as (
      insert into inboxes (user_id, max_pos)
      select user_id, 1 from unnest(${textArray(userIds)}) as w (user_id) order by user_id
      on conflict (user_id) do update set max_pos = inboxes.max_pos + 1
      returning user_id, max_pos
    ), stored as (
      insert into notices (user_id, pos, conv_id, notice_id, created_at, body)
      select user_id, max_pos, ${convId}, ${noticeId}, ${nowMs}::bigint, ${body}::bytea from placed
    )
    insert into notice_outbox (user_id, pos, bytes, created_at)
    select user_id, max_pos, ${body.length}::int, ${nowMs}::bigint from placed`.execute(session)
}

export interface Device {
  readonly userId: string
  /** Platform and id: a device is known by both. */
  readonly device: string
}

const DAY_MS = 86_400_000
/** The floor follows the acknowledgements in steps of so many notices: what is above it is looked at each time. */
const FLOOR_STEP = 20

/** The first notices that a device has not acknowledged, oldest first. A device that is new begins here. */
export async function pendingNotices(
  database: Database,
  device: Device,
  limit: number,
  nowMs: number,
): Promise<{ readonly notices: readonly Uint8Array[]; readonly more: boolean }> {
  const floor = await floorOf(database, device, nowMs)
  const { rows } = await database.run((session) =>
    sql<{ pos: number; body: Uint8Array | null }>`
      (
        select n.pos, n.body from notices n
        left join notice_cursors c
          on c.user_id = n.user_id and c.device = ${device.device} and c.conv_id = n.conv_id
        where n.user_id = ${device.userId} and n.pos > ${floor}::bigint and n.pos > coalesce(c.pos, 0)
        order by n.pos limit ${limit + 1}
      ) union all (
        select max_pos, null from inboxes where user_id = ${device.userId}
      )`.execute(session),
  )
  const notices = rows.filter((row) => row.body !== null)
  const end = rows.find((row) => row.body === null)?.pos ?? 0
  const acknowledged = (notices[0]?.pos ?? end + 1) - 1
  if (acknowledged >= floor + FLOOR_STEP) {
    await database.run((session) =>
      sql`
        update notice_devices set floor_pos = greatest(floor_pos, ${acknowledged}::bigint)
        where user_id = ${device.userId} and device = ${device.device}`.execute(session),
    )
  }
  return {
    notices: notices.slice(0, limit).map((row) => row.body as Uint8Array),
    more: notices.length > limit,
  }
}

/** Everything up to here is acknowledged. A device that is seen for the first time starts where the furthest stands. */
async function floorOf(database: Database, { userId, device }: Device, nowMs: number): Promise<number> {
  const find = () =>
    database.run((session) =>
      sql<{ floor_pos: number; seen_at: number }>`
        select floor_pos, seen_at from notice_devices
        where user_id = ${userId} and device = ${device}`.execute(session),
    )
  let [row] = (await find()).rows
  if (row === undefined) {
    await database.run((session) => addDevice(session, { userId, device }, nowMs))
    row = (await find()).rows[0]
  } else if (nowMs - row.seen_at > DAY_MS) {
    await database.run((session) =>
      sql`
        update notice_devices set seen_at = ${nowMs}::bigint
        where user_id = ${userId} and device = ${device}`.execute(session),
    )
  }
  return row?.floor_pos ?? 0
}

/**
 * A device that is new starts where its user's furthest device stands. When there are too many, those that were not
 * seen for longest are forgotten, with their positions: one that comes back is new.
 */
async function addDevice(session: Session, { userId, device }: Device, nowMs: number): Promise<void> {
  await sql`
    with added as (
      insert into notice_devices (user_id, device, floor_pos, seen_at)
      select ${userId}, ${device}, coalesce(max(floor_pos), 0), ${nowMs}::bigint
      from notice_devices where user_id = ${userId}
      on conflict do nothing returning device
    )
    insert into notice_cursors (user_id, device, conv_id, pos)
    select ${userId}, ${device}, conv_id, max(pos) from notice_cursors
    where user_id = ${userId} and exists (select from added) group by conv_id
    on conflict (user_id, device, conv_id)
    do update set pos = greatest(notice_cursors.pos, excluded.pos)`.execute(session)
  await sql`
    with surplus as (
      select user_id, device from notice_devices where user_id = ${userId} and device <> ${device}
      order by seen_at desc, device desc offset ${limits.devicesMax - 1}
    ), cursors as (
      delete from notice_cursors c using surplus s where c.user_id = s.user_id and c.device = s.device
    )
    delete from notice_devices d using surplus s
    where d.user_id = s.user_id and d.device = s.device`.execute(session)
}

/** Moves a device's position in a notice's channel to that notice, never back. Unknown notices change nothing. */
export async function acknowledgeNotice(
  session: Session,
  { userId, device }: Device,
  convId: string,
  noticeId: string,
  nowMs: number,
): Promise<void> {
  // No position without its device, which may have been forgotten since it connected.
  const move = () =>
    sql<{ pos: number }>`
      insert into notice_cursors (user_id, device, conv_id, pos)
      select n.user_id, d.device, n.conv_id, n.pos
      from notices n join notice_devices d on d.user_id = n.user_id and d.device = ${device}
      where n.user_id = ${userId} and n.notice_id = ${noticeId} and n.conv_id = ${convId}
      on conflict (user_id, device, conv_id) do update set pos = greatest(notice_cursors.pos, excluded.pos)
      returning pos`.execute(session)
  if ((await move()).rows.length > 0) return
  const { rows } = await sql`
    select from notices n where n.user_id = ${userId} and n.notice_id = ${noticeId} and n.conv_id = ${convId}
      and not exists (select from notice_devices d where d.user_id = n.user_id and d.device = ${device})
    `.execute(session)
  if (rows.length === 0) return
  await addDevice(session, { userId, device }, nowMs)
  await move()
}

/** A notice that was stored, to be published to its user. */
export interface NoticeEntry {
  readonly userId: string
  readonly body: Uint8Array
}

const ROWS_MAX = 1_000

/** As drainOutbox, for the inboxes of users. */
export async function drainNoticeOutbox(
  database: Database,
  userIds: readonly string[],
  publish: Publish<NoticeEntry>,
): Promise<boolean> {
  const drain = async (session: Session): Promise<boolean> => {
    const lock = database.shared ? sql`for update` : sql``
    const { rows } = await sql<{ user_id: string; pos: number; bytes: number }>`
      select user_id, pos, bytes from notice_outbox
      where user_id = any(${textArray(userIds)}) order by user_id, pos limit ${ROWS_MAX} ${lock}`.execute(
      session,
    )
    const taken = firstBytes(rows)
    if (taken.length === 0) return false
    const places = sql`unnest(
      ${textArray(taken.map((row) => row.user_id))}, ${bigintArray(taken.map((row) => row.pos))}
    ) as w (user_id, pos)`
    // Retention may have been there first.
    const found = await sql<{ user_id: string; body: Uint8Array }>`
      select user_id, body from ${places} join notices using (user_id, pos) order by user_id, pos`.execute(
      session,
    )
    await publish(found.rows.map(({ user_id: userId, body }) => ({ userId, body })))
    await sql`
      delete from notice_outbox o using ${places} where o.user_id = w.user_id and o.pos = w.pos`.execute(
      session,
    )
    return taken.length < rows.length || rows.length === ROWS_MAX
  }
  return database.shared ? database.relaxedTransaction(drain) : database.run(drain)
}

/** As outboxLeftOver, for the inboxes of users. */
export async function noticeOutboxLeftOver(
  database: Database,
  nowMs: number,
  ageMs: number,
): Promise<string[]> {
  const { rows } = await database.run((session) =>
    sql<{ user_id: string }>`
      select distinct user_id from notice_outbox
      where created_at <= ${nowMs - ageMs}::bigint or created_at > ${nowMs + ageMs}::bigint
      limit 1000`.execute(session),
  )
  return rows.map((row) => row.user_id)
}
