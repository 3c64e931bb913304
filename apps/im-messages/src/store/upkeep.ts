import { sql } from 'kysely'
import type { Database } from '../database/database.ts'

/** Tables whose rows are replaced or taken out all the time. */
const BUSY_TABLES = [
  'outbox',
  'notice_outbox',
  'offline_pushes',
  'delayed_messages',
  'conversations',
  'inboxes',
  'notice_cursors',
  'notice_devices',
]

/**
 * What a PostgreSQL server's autovacuum does, for a database without one: frees the room of dead rows, and keeps the
 * planner's statistics. Table by table, so that others come to their turn. Answers that there is no more to do.
 */
export async function clearUp(database: Database): Promise<boolean> {
  for (const table of BUSY_TABLES) {
    await database.run((session) => sql`vacuum (analyze) ${sql.table(table)}`.execute(session))
  }
  return false
}
