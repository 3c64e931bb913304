import { Kysely, Migrator, PostgresDialect, type PostgresPool } from 'kysely'
import * as initial from './migrations/0001-initial.ts'

/** Every migration by its name, in order. One that was released is never changed. */
export const migrations = { '0001-initial': initial }

/**
 * Applies the migrations that are missing, in one transaction, and ends the pool. Several processes may do it at
 * the same time: a lock in the database lets one go first.
 */
export async function migrate(pool: PostgresPool): Promise<void> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) throw error
  } finally {
    await db.destroy()
  }
}
