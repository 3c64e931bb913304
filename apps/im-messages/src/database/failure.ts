/** The database did not do it, or did not say that it did; asking again later may help. */
export class DatabaseAway extends Error {}

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
  // Connection exceptions, refused credentials, no such database, read-only after a failover.
  [/^(08|28|3D|25006)/, 'away'],
  // Shutting down, starting up, dropped; out of connections, memory or disk.
  [/^(57P|53)/, 'away'],
]

/** What pg says, without a code, of connections that are gone or never came about. */
const clientMessages =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|timeout expired|Client (has encountered|was closed)|Cannot use a pool|the connection is broken)/

export function classify(error: unknown): FailureKind {
  if (error instanceof DatabaseAway) return 'busy'
  if (!(error instanceof Error)) return 'defect'
  const { code, severity, syscall } = error as { code?: unknown; severity?: unknown; syscall?: unknown }
  if (typeof code === 'string' && severity !== undefined) {
    return states.find(([pattern]) => pattern.test(code))?.[1] ?? 'defect'
  }
  // An aggregate of tries to connect has a code and no system call of its own.
  if (typeof code === 'string' && (syscall !== undefined || /^E[A-Z]+$/.test(code))) return 'away'
  return clientMessages.test(error.message) ? 'away' : 'defect'
}
