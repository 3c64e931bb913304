import { postgresBin } from '@carillon/testkit'
import { runImChaos } from './im/run.ts'
import type { ChaosOptions } from './main.ts'

const SECONDS = 120
const AWAY_SECONDS = 30

/**
 * IM: gateways, message services, the broker and the database are killed and started again; the ledger of what was
 * promised is held against what was seen. The "fault" is the database that it runs on, postgres or pglite, where all
 * of them are killed; or database-outage, where PostgreSQL alone is away for 30 s.
 */
export async function im({ fault, minutes, seed, print }: ChaosOptions): Promise<readonly string[]> {
  const faults = ['postgres', 'pglite', 'database-outage'] as const
  const chosen = faults.filter((each) => fault === undefined || fault === each)
  if (chosen.length === 0) return [`there is no fault ${fault}: ${faults.join(', ')}`]
  const failures: string[] = []
  for (const each of chosen) {
    const engine = each === 'pglite' ? 'pglite' : 'postgres'
    if (engine === 'postgres' && postgresBin() === undefined) {
      print(`${each}: PostgreSQL is not on this machine, left out`)
      continue
    }
    const outage = each === 'database-outage'
    const seconds = outage ? AWAY_SECONDS : minutes === undefined ? SECONDS : minutes * 60
    print(`${each}, ${seconds} s`)
    const ledger = await runImChaos({
      engine,
      seconds,
      ...(outage && { databaseAwaySeconds: seconds }),
      seed,
      print,
    })
    for (const [what, count] of ledger.counts) print(`  ${String(count).padStart(8)}  ${what}`)
    failures.push(...ledger.violations.map((violation) => `${each}: ${violation}`))
  }
  return failures
}
