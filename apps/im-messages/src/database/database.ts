import { Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import { Availability } from './availability.ts'
import { classify, DatabaseAway, DatabaseBusy, DatabaseFailure } from './failure.ts'

/** Where statements run: the database, or a transaction of it. */
export type Session = Kysely<unknown>

/** How often a transaction that met another one's locks in the wrong order is tried. */
const CONFLICT_ATTEMPTS = 4

/** How a database is opened: an engine that speaks PostgreSQL, behind the pool that Kysely wants. */
export interface Engine {
  readonly pool: PostgresPool
  /** Connections whose commits may be lost by a crash of the database: for what may be done twice. */
  readonly relaxedPool: PostgresPool
  /** Brings the schema up to date. Idempotent; several instances may do it at the same time. */
  migrate(): Promise<void>
  close(): Promise<void>
}

export interface DatabaseOptions {
  /** Opens the engine. What it throws ends the start; that a server cannot be reached is found out later. */
  readonly open: () => Promise<Engine>
  /** Other processes use the same database. */
  readonly shared: boolean
  readonly log: { warn(fields: object, message: string): void }
  /** Something was not done: for the metrics. */
  readonly failed: (kind: 'away' | 'busy') => void
}

/** The database with its availability: work is refused at once while it is away, and goes on by itself afterwards. */
export class Database {
  readonly shared: boolean
  readonly availability: Availability
  readonly #options: DatabaseOptions
  #engine: Engine | undefined
  #db!: Kysely<unknown>
  #relaxed!: Kysely<unknown>
  #migrated = false

  constructor(options: DatabaseOptions) {
    this.#options = options
    this.shared = options.shared
    this.availability = new Availability(() => this.#prepare(), options.log)
  }

  async start(): Promise<void> {
    const engine = await this.#options.open()
    this.#engine = engine
    this.#db = new Kysely({ dialect: new PostgresDialect({ pool: engine.pool }) })
    const same = engine.relaxedPool === engine.pool
    this.#relaxed = same
      ? this.#db
      : new Kysely({ dialect: new PostgresDialect({ pool: engine.relaxedPool }) })
    await this.availability.start()
  }

  async #prepare(): Promise<void> {
    if (this.#migrated) await sql`select 1`.execute(this.#db)
    else await this.#engine?.migrate()
    this.#migrated = true
  }

  /** Runs statements that are each a transaction of their own. @throws {DatabaseFailure} */
  run<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#guard(() => work(this.#db))
  }

  /**
   * Runs a transaction, again when it was the victim of a deadlock. @throws {DatabaseFailure}: whether it was
   * committed is not known then.
   */
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#transaction(this.#db, work)
  }

  /** A transaction whose effects may be lost by a crash of the database shortly after. */
  relaxedTransaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#transaction(this.#relaxed, work)
  }

  async close(): Promise<void> {
    this.availability.stop()
    await this.#engine?.close()
  }

  async #transaction<T>(db: Kysely<unknown>, work: (session: Session) => Promise<T>): Promise<T> {
    return this.#guard(async () => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await db.transaction().execute(work)
        } catch (error) {
          if (classify(error) !== 'conflict' || attempt === CONFLICT_ATTEMPTS) throw error
        }
      }
    })
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    if (!this.availability.available) throw new DatabaseAway(this.availability.reason)
    try {
      return await work()
    } catch (error) {
      const kind = classify(error)
      if (kind === 'defect' || error instanceof DatabaseFailure) throw error
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.failed(kind === 'away' ? 'away' : 'busy')
      if (kind !== 'away') throw new DatabaseBusy(reason)
      this.availability.lost(reason)
      throw new DatabaseAway(reason)
    }
  }
}
