import { sql } from 'kysely'
import type { Database, Session } from '../database/database.ts'
import type { Place } from './history.ts'
import { bigintArray, textArray } from './packed.ts'

const ROWS_MAX = 100

/**
 * Hands over some of the messages that ask for a push to members without a connection, and takes out those that are
 * done. Instances take different ones. Answers whether there may be more.
 */
export async function drainOfflinePushes(
  database: Database,
  handle: (session: Session, places: readonly Place[]) => Promise<readonly Place[]>,
): Promise<boolean> {
  const drain = async (session: Session): Promise<boolean> => {
    const lock = database.shared ? sql`for update skip locked` : sql``
    const { rows } = await sql<{ conv_id: string; seq: number }>`
      select conv_id, seq from offline_pushes order by conv_id, seq limit ${ROWS_MAX} ${lock}`.execute(
      session,
    )
    if (rows.length === 0) return false
    const done = await handle(
      session,
      rows.map((row) => ({ convId: row.conv_id, seq: row.seq })),
    )
    await sql`
      delete from offline_pushes o using unnest(
        ${textArray(done.map((place) => place.convId))}, ${bigintArray(done.map((place) => place.seq))}
      ) as w (conv_id, seq) where o.conv_id = w.conv_id and o.seq = w.seq`.execute(session)
    return done.length < rows.length || rows.length === ROWS_MAX
  }
  return database.shared ? database.relaxedTransaction(drain) : database.run(drain)
}
