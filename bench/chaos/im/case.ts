import { postgresBin } from '@carillon/testkit'
import type { ChaosCase } from '../main.ts'
import { runImChaos } from './run.ts'

const SECONDS = 120

/** `npm run chaos -- im`: on PostgreSQL, where it is on this machine, and on PGlite; `--fault` names one of them. */
export const imCase: ChaosCase = async ({ fault, minutes, seed, print }) => {
  const engines = (['postgres', 'pglite'] as const).filter(
    (engine) => fault === undefined || fault === engine,
  )
  if (engines.length === 0) return [`${fault} is no engine: postgres, pglite`]
  const failures: string[] = []
  for (const engine of engines) {
    if (engine === 'postgres' && postgresBin() === undefined) {
      print('PostgreSQL is not on this machine: left out.')
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
