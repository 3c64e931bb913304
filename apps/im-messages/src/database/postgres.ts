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
  // An idle connection that ends is replaced by the pool; without a listener it would end the process.
  for (const each of [pool, relaxedPool]) each.on('error', () => {})
  return {
    pool: guarded(pool),
    relaxedPool: guarded(relaxedPool),
    async migrate() {
      const single = new pg.Pool({ ...common, max: 1, query_timeout: MIGRATION_TIMEOUT_MS })
      single.on('error', () => {})
      await migrate(guarded(single))
    },
    async close() {
      await Promise.all([pool.end(), relaxedPool.end()])
    },
  }
}

/** Connections that met a failure of the connection itself are not used again. */
function guarded(pool: pg.Pool): PostgresPool {
  return {
    async connect() {
      const client = await pool.connect()
      let broken = false
      let ended: Error | undefined
      // While it is lent out, the pool does not listen for its errors.
      const onError = (error: Error) => {
        broken = true
        // The server may have said why it ended the connection; what comes of that says less.
        ended ??= error
      }
      client.on('error', onError)
      return {
        async query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
          if (broken) throw ended ?? new Error('the connection is broken')
          try {
            return (await client.query(text, parameters as unknown[])) as unknown as PostgresQueryResult<R>
          } catch (error) {
            if (classify(error) === 'away') broken = true
            throw ended ?? error
          }
        },
        release(destroy?: boolean) {
          client.off('error', onError)
          client.release(destroy === true || broken)
        },
      } as PostgresPoolClient
    },
    end: () => pool.end(),
  }
}
