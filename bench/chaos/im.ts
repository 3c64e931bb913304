import { postgresBin } from '@carillon/testkit'
import { runImChaos } from './im/run.ts'
import type { ChaosOptions } from './main.ts'

const SECONDS = 120

/**
 * IM: gateways, message services, the broker and the database are killed and started again; the ledger of what was
 * promised is held against what was seen. The "fault" is the database that it runs on: postgres, pglite.
 */
export async function im({ fault, minutes, seed, print }: ChaosOptions): Promise<readonly string[]> {
  const engines = ['postgres', 'pglite'] as const
  const chosen = engines.filter((engine) => fault === undefined || fault === engine)
  if (chosen.length === 0) return [`there is no fault ${fault}: ${engines.join(', ')}`]
  const failures: string[] = []
  for (const engine of chosen) {
    if (engine === 'postgres' && postgresBin() === undefined) {
      print('PostgreSQL is not on this machine: left out')
      continue
    }
    const seconds = minutes === undefined ? SECONDS : minutes * 60
    print(`${engine}, ${seconds} s`)
    const ledger = await runImChaos({ engine, seconds, seed, print })
    for (const [what, count] of ledger.counts) print(`  ${String(count).padStart(8)}  ${what}`)
    failures.push(...ledger.violations.map((violation) => `${engine}: ${violation}`))
  }
  return failures
}
