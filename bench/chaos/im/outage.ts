import { eventually, type PostgresServer } from '@carillon/testkit'
import { pause } from './client.ts'
import type { Ledger } from './ledger.ts'

export interface OutageOptions {
  readonly postgres: PostgresServer
  /** Admin ports of the message services. */
  readonly adminPorts: readonly number[]
  readonly ledger: Ledger
  readonly awaySeconds: number
  readonly print: (line: string) => void
}

/** How long the services may take to notice, and to be ready again: far more than they need on a quiet machine. */
const NOTICE_MS = 60_000
/** Answers before, and after: the talk goes on. */
const ANSWERS = 20

/**
 * The database is away for a while, and comes back. Meanwhile requests are answered with RetryError, none with Success;
 * `/readyz` says why; and everything goes on by itself. That nothing is lost is the ledger's business.
 */
export async function databaseOutage(options: OutageOptions): Promise<void> {
  const { postgres, adminPorts, ledger, awaySeconds, print } = options
  const answered = () => ledger.answered.size
  const all = async (check: (port: number) => Promise<boolean>) =>
    (await Promise.all(adminPorts.map(check))).every(Boolean)
  const talking = (since: number) => eventually(() => answered() >= since + ANSWERS, NOTICE_MS)

  await talking(answered())
  print('  the database goes away')
  await postgres.halt('SIGKILL')
  await eventually(() => all(async (port) => (await readiness(port)).status === 503), NOTICE_MS)
  // What was committed before it went away may have been answered until now.
  const before = answered()
  const refusedBefore = ledger.countOf('sends answered with RetryError')
  const end = performance.now() + awaySeconds * 1_000
  do {
    for (const port of adminPorts) {
      const { status, reason } = await readiness(port)
      if (status !== 503 || !reason.startsWith('the database: '))
        ledger.violation(`/readyz was ${status} "${reason}" while the database was away`)
      const alive = await fetch(`http://127.0.0.1:${port}/healthz`)
      if (!alive.ok) ledger.violation(`/healthz was ${alive.status} while the database was away`)
    }
    await pause(200)
  } while (performance.now() < end)
  await eventually(() => ledger.countOf('sends answered with RetryError') > refusedBefore, NOTICE_MS)
  if (answered() > before) ledger.violation(`${answered() - before} sends succeeded without a database`)
  await postgres.resume()
  print('  the database is back')
  await eventually(() => all(async (port) => (await readiness(port)).status === 200), NOTICE_MS)
  await talking(answered())
  const silent = ledger.countOf('requests without an answer in 15 s')
  if (silent > 0) ledger.violation(`${silent} requests had no answer in 15 s`)
}

async function readiness(port: number): Promise<{ readonly status: number; readonly reason: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`)
  const { reason = '' } = (await response.json()) as { reason?: string }
  return { status: response.status, reason }
}
