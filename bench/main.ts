import { connects, latency, memory, soak } from './cases/auction.ts'
import { campusMemory, campusPush, campusRoom } from './cases/campus.ts'
import { discovery } from './cases/discovery.ts'
import { fanoutBurst, fanoutSingle } from './cases/fanout.ts'
import { followers } from './cases/followers.ts'
import { imIdle, imSends } from './cases/im-gateway.ts'
import { imMessages } from './cases/im-messages.ts'
import { longFlush } from './cases/long-flush.ts'
import { processes } from './cases/processes.ts'
import { quotes } from './cases/quotes.ts'
import { subscriptions } from './cases/subscriptions.ts'
import { tracing } from './cases/tracing.ts'
import { voiceEvictions, voiceRelay } from './cases/voice.ts'
import { voiceRosters } from './cases/voice-rosters.ts'
import { wheel } from './cases/wheel.ts'
import { keep, write } from './report.ts'
import type { CaseResult } from './result.ts'

const cases: Readonly<Record<string, () => Promise<CaseResult>>> = {
  'fanout-single': fanoutSingle,
  'fanout-burst': fanoutBurst,
  'long-flush': longFlush,
  followers,
  processes,
  latency,
  soak,
  memory,
  connects,
  quotes,
  subscriptions,
  'campus-room': campusRoom,
  'campus-memory': campusMemory,
  'campus-push': campusPush,
  'voice-relay': voiceRelay,
  'voice-evictions': voiceEvictions,
  'voice-rosters': voiceRosters,
  discovery,
  'im-sends': imSends,
  'im-idle': imIdle,
  wheel,
  tracing,
  'im-messages': imMessages,
}

const asked = process.argv.slice(2)
const chosen = Object.keys(cases).filter(
  (name) => asked.length === 0 || asked.some((each) => name.startsWith(each)),
)
if (chosen.length === 0) {
  console.error(`there is no such case; cases: ${Object.keys(cases).join(', ')}`)
  process.exit(2)
}
for (const name of chosen) {
  console.log(`\n${name} …`)
  const result = await (cases[name] as () => Promise<CaseResult>)()
  for (const { what, measured, reach = '', reached } of result.rows) {
    const verdict = reached === undefined ? '' : reached ? '✓' : '✗'
    console.log(`  ${what}: ${measured}  ${reach} ${verdict}`)
  }
  for (const note of result.notes ?? []) console.log(`  ${note}`)
  keep(name, result)
}
write(Object.keys(cases))
process.exit(0)
