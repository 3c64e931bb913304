import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type { Engine } from './database.ts'
import { FolderLock } from './folder-lock.ts'
import { migrate } from './migrations.ts'

/** A segment of its log has 16 MiB, of which it makes the next one whenever it likes. */
const FREE_BYTES_MIN = 64 * 1024 * 1024
const LOOK_INTERVAL_MS = 250

/** Says what PostgreSQL says of a full disk (SQLSTATE 53100). */
export class DiskFull extends Error {
  readonly code = '53100'
  readonly severity = 'ERROR'
}

/**
 * PostgreSQL inside this process, its files in a folder that no other process may use meanwhile. It is not used while
 * less than `freeBytesMin` is free: where the disk is full it tries to write for ever, and this process stands still.
 * @throws {FolderInUse, DiskFull}
 */
export async function embeddedEngine(folder: string, freeBytesMin = FREE_BYTES_MIN): Promise<Engine> {
  await mkdir(folder, { recursive: true })
  const checkRoom = roomCheck(folder, freeBytesMin)
  await checkRoom()
  const lock = await FolderLock.take(folder)
  let pglite: PGlite
  try {
    pglite = await PGlite.create(join(folder, 'data'))
  } catch (error) {
    await lock.release()
    throw error
  }
  const pool = singleConnection(pglite, checkRoom)
  return {
    pool,
    relaxedPool: pool,
    migrate: () => migrate({ connect: pool.connect, end: async () => {} }),
    async close() {
      const release = await pool.turn()
      await pglite.close()
      await lock.release()
      release()
    },
  }
}

/** The one connection there is, handed from one user to the next in the order of asking. */
function singleConnection(
  pglite: PGlite,
  checkRoom: () => Promise<void>,
): PostgresPool & { turn(): Promise<() => void> } {
  let free: Promise<void> = Promise.resolve()
  const turn = async () => {
    const before = free
    let release = () => {}
    free = new Promise((resolve) => {
      release = resolve
    })
    await before
    return release
  }
  return {
    turn,
    async connect() {
      await checkRoom()
      const release = await turn()
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

/** @throws {DiskFull} while there is less room than this. Looks every now and then. */
function roomCheck(folder: string, freeBytesMin: number): () => Promise<void> {
  let lookedAtMs = Number.NEGATIVE_INFINITY
  let freeBytes = Number.POSITIVE_INFINITY
  return async () => {
    if (performance.now() - lookedAtMs > LOOK_INTERVAL_MS) {
      lookedAtMs = performance.now()
      const { bavail, bsize } = await statfs(folder)
      freeBytes = bavail * bsize
    }
    if (freeBytes < freeBytesMin)
      throw new DiskFull(`the disk of ${folder} is full: less than ${freeBytesMin} bytes are free`)
  }
}
