import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type { Engine } from './database.ts'
import { FolderLock } from './folder-lock.ts'
import { migrate } from './migrations.ts'

/**
 * PostgreSQL inside this process, its files in a folder that no other process may use meanwhile.
 * @throws {FolderInUse}
 */
export async function embeddedEngine(folder: string): Promise<Engine> {
  await mkdir(folder, { recursive: true })
  const lock = await FolderLock.take(folder)
  let pglite: PGlite
  try {
    pglite = await PGlite.create(join(folder, 'data'))
  } catch (error) {
    await lock.release()
    throw error
  }
  const pool = singleConnection(pglite)
  return {
    pool,
    relaxedPool: pool,
    migrate: () => migrate({ connect: pool.connect, end: async () => {} }),
    async close() {
      const connection = await pool.connect()
      await pglite.close()
      await lock.release()
      connection.release()
    },
  }
}

/** The one connection there is, handed from one user to the next in the order of asking. */
function singleConnection(pglite: PGlite): PostgresPool {
  let free: Promise<void> = Promise.resolve()
  return {
    async connect() {
      const before = free
      let release = () => {}
      free = new Promise((resolve) => {
        release = resolve
      })
      await before
      return {
        async query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
          const { rows, affectedRows } = await pglite.query<R>(text, parameters as unknown[])
          const command = (/^\s*(\w+)/.exec(text)?.[1] ?? '').toUpperCase() as 'SELECT'
          return { rows, rowCount: affectedRows ?? 0, command }
        },
        release: () => release(),
      } as PostgresPoolClient
    },
    end: async () => {},
  }
}
