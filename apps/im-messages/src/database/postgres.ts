import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import pg from 'pg'
import type { Engine } from './database.ts'
import { classify } from './failure.ts'
import { migrate } from './migrations.ts'

export interface PostgresOptions {
  readonly url: string
  readonly connectionsMax: number
}

/** How long anything of the database may take. The server's limits are below the client's, so that it tells. */
const CONNECT_TIMEOUT_MS = 2_000
const LOCK_TIMEOUT_MS = 4_000
const STATEMENT_TIMEOUT_MS = 5_000
const QUERY_TIMEOUT_MS = 6_000
/**
 * A process that stands still in the middle of a transaction holds its locks no longer than this: others that wait for
 * one of them get it before they give up.
 */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 3_000
/** Where a transaction waits for the broker: it holds entries of the outbox alone. */
const IDLE_WHILE_PUBLISHING_TIMEOUT_MS = 6_000
/** A migration may rewrite a table, or wait for another instance that does. */
const MIGRATION_TIMEOUT_MS = 600_000

const BIGINT_OID = 20
/** Sequence numbers and times stay below 2^53; everything else is parsed as pg does. */
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === BIGINT_OID ? Number : pg.types.getTypeParser(oid, format as 'text'),
}

/** PostgreSQL over a pool of connections. Does not connect before it is asked to. */
export function postgresEngine({ url, connectionsMax }: PostgresOptions): Engine {
  const common = {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'im-messages',
    types: types as pg.CustomTypesConfig,
  }
  const bounded = {
    ...common,
    lock_timeout: LOCK_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
  }
  const pool = new pg.Pool({ ...bounded, max: connectionsMax })
  const relaxedPool = new pg.Pool({
    ...bounded,
    max: 4,
    idle_in_transaction_session_timeout: IDLE_WHILE_PUBLISHING_TIMEOUT_MS,
    options: '-c synchronous_commit=off',
  })
  return {
    pool: guarded(pool),
    relaxedPool: guarded(relaxedPool),
    async migrate() {
      const single = new pg.Pool({ ...common, max: 1, query_timeout: MIGRATION_TIMEOUT_MS })
      await migrate(guarded(single))
    },
    async close() {
      await Promise.all([pool.end(), relaxedPool.end()])
    },
  }
}

/**
 * Connections that met a failure of the connection itself are not used again. What the server says when it ends one is
 * heard from the moment it is made: the pool does not listen while it hands a connection over, and an error that nobody
 * listens for would end the process.
 */
function guarded(pool: pg.Pool): PostgresPool {
  // An idle connection that ends is replaced by the pool.
  pool.on('error', () => {})
  const ends = new WeakMap<object, Error>()
  pool.on('connect', (client) => {
    client.on('error', (error) => {
      // The first one says most.
      if (!ends.has(client)) ends.set(client, error)
    })
  })
  return {
    async connect() {
      const client = await pool.connect()
      let broken = false
      return {
        async query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
          if (broken || ends.has(client)) throw ends.get(client) ?? new Error('the connection is broken')
          try {
            return (await client.query(text, parameters as unknown[])) as unknown as PostgresQueryResult<R>
          } catch (error) {
            if (classify(error) === 'away') broken = true
            throw ends.get(client) ?? error
          }
        },
        release(destroy?: boolean) {
          client.release(destroy === true || broken || ends.has(client))
        },
      } as PostgresPoolClient
    },
    end: () => pool.end(),
  }
}
