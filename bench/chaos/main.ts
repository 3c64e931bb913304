import { parseArgs } from 'node:util'
import { campusCase } from './campus.ts'
import { deploy } from './deploy.ts'
import { im } from './im.ts'
import { voice } from './voice.ts'

/** What a case is told; each takes what it needs. */
export interface ChaosOptions {
  /** What is done to the fleet: each case lists its own. Default: each in turn. */
  readonly fault: string | undefined
  readonly rounds: number
  /** Ends after this time, whatever the rounds. */
  readonly minutes: number | undefined
  readonly seed: number
  readonly print: (line: string) => void
}

/** A case answers what did not hold; nothing, if everything did. */
export type ChaosCase = (options: ChaosOptions) => Promise<readonly string[]>

const cases: Readonly<Record<string, ChaosCase>> = { campus: campusCase, deploy, im, voice }

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    fault: { type: 'string' },
    rounds: { type: 'string', default: '10' },
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const run = cases[positionals[0] ?? '']
if (run === undefined) {
  console.error(
    `usage: npm run chaos -- <${Object.keys(cases).join('|')}> [--fault <name>] [--rounds 10] [--minutes 5] [--seed 1]`,
  )
  process.exit(2)
}
const seed = Number(values.seed)
console.log(`seed ${seed}`)
const failures = await run({
  fault: values.fault,
  rounds: Number(values.rounds),
  minutes: values.minutes === undefined ? undefined : Number(values.minutes),
  seed,
  print: (line) => console.log(line),
})
for (const failure of failures) console.error(`FAILED: ${failure}`)
console.log(failures.length === 0 ? 'all held' : `${failures.length} did not hold, with seed ${seed}`)
process.exit(failures.length === 0 ? 0 : 1)
