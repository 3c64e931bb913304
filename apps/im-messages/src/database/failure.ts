/** The database did not do it, or did not say that it did; asking again later may help. */
export class DatabaseFailure extends Error {}
/** No statement can be run at the moment. */
export class DatabaseAway extends DatabaseFailure {}
/** It is there, but this was not done in time: it has too much to do, or somebody holds a lock for long. */
export class DatabaseBusy extends DatabaseFailure {}

/**
 * What an error of the database means: `away`, no statement can be run at the moment; `busy`, this one could not
 * be run in time; `conflict`, it was the victim of a deadlock and can be run again at once; `defect`, anything else.
 */
export type FailureKind = 'away' | 'busy' | 'conflict' | 'defect'

/** SQLSTATE, PostgreSQL's appendix A: whole codes, or their classes. */
const states: readonly (readonly [RegExp, FailureKind])[] = [
  [/^(40001|40P01)$/, 'conflict'],
  // Lock, statement and idle-in-transaction timeouts.
  [/^(55P03|57014|25P03)$/, 'busy'],
  // Out of connections, out of memory for this statement: others are being worked on.
  [/^53[0234]00$/, 'busy'],
  // Connection exceptions, refused credentials, no such database, read-only after a failover.
  [/^(08|28|3D|25006)/, 'away'],
  // Shutting down, starting up, dropped; the disk is full.
  [/^(57P|53)/, 'away'],
]

/** What pg says, without a code, of connections that are gone or never came about. */
const connectionLost =
  /^(Connection terminated|Query read timeout|timeout expired|Client (has encountered|was closed)|Cannot use a pool|the connection is broken)/
/** What pg's pool says when all its connections were in use for the whole time. That one does not answer is seen by it. */
const poolExhausted = /^timeout exceeded when trying to connect/

export function classify(error: unknown): FailureKind {
  if (error instanceof DatabaseAway) return 'away'
  if (error instanceof DatabaseBusy) return 'busy'
  if (!(error instanceof Error)) return 'defect'
  const { code, severity, syscall } = error as { code?: unknown; severity?: unknown; syscall?: unknown }
  if (typeof code === 'string' && severity !== undefined) {
    return states.find(([pattern]) => pattern.test(code))?.[1] ?? 'defect'
  }
  // An aggregate of tries to connect has a code and no system call of its own.
  if (typeof code === 'string' && (syscall !== undefined || /^E[A-Z]+$/.test(code))) return 'away'
  if (poolExhausted.test(error.message)) return 'busy'
  return connectionLost.test(error.message) ? 'away' : 'defect'
}
