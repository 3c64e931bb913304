import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually, NatsServer, PostgresServer, postgresBin } from '@carillon/testkit'
import { Remote } from '../remote.ts'
import { type CaseResult, ms, type Row, thousands } from '../result.ts'

interface Percentiles {
  readonly p50: number
  readonly p99: number
}
interface Burst {
  readonly perSecond: number
  readonly answer: Percentiles
  readonly push: Percentiles
}

const HISTORY = 1_000_000
const SECONDS = Number(process.env.BENCH_IM_SECONDS ?? 10)

/** im-messages alone, as gateways use it: stored, answered and published. On PGlite, and on PostgreSQL where found. */
export async function imMessages(): Promise<CaseResult> {
  const rows: Row[] = []
  for (const engine of postgresBin() === undefined ? ['PGlite'] : ['PGlite', 'PostgreSQL']) {
    rows.push(...(await measure(engine as 'PGlite' | 'PostgreSQL')))
  }
  return {
    title: 'im-messages',
    how: `Requests over NATS as im-gateway makes them, messages of 120 bytes in 100 groups; pushes counted at NATS. PostgreSQL with fsync, on the same machine; ${SECONDS} s each.`,
    rows,
  }
}

async function measure(engine: 'PGlite' | 'PostgreSQL'): Promise<Row[]> {
  const postgres =
    engine === 'PostgreSQL' ? await PostgresServer.start({ settings: { fsync: 'on' } }) : undefined
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'))
  const nats = await NatsServer.start()
  const env = {
    NATS_URL: nats.url,
    CARILLON_HOME: folder,
    ...(postgres && { IM_DATABASE_URL: postgres.url }),
  }
  const server = new Remote('servers/im-messages.ts', { core: 0, env })
  const load = new Remote('load/im-requests.ts', { core: 1, env })
  const rows: Row[] = []
  try {
    await eventually(async () => (await server.call<boolean>('ready')) && load.call<boolean>('ready'), 60_000)
    const userIds = Array.from({ length: 1_000 }, (_, i) => `user_${i}`)
    const convIds = Array.from({ length: 100 }, (_, i) => `group:${i}`)
    for (const convId of convIds) await load.call('put', { convId, members: userIds })
    const members = Array.from({ length: 5_000 }, (_, i) => `user_${i}`)
    await load.call('put', { convId: 'group:large', members })

    for (const senders of [50, 1_000]) {
      const talkers = { userIds: userIds.slice(0, senders), convIds, seconds: SECONDS }
      const { perSecond, answer } = await load.call<Burst>('burst', talkers)
      const reach = engine === 'PostgreSQL' && senders === 1_000
      rows.push({
        what: `${engine}: ${senders} senders, one message under way each`,
        measured: `${thousands(perSecond)}/s; answer p50 ${ms(answer.p50)}, p99 ${ms(answer.p99)}`,
        ...(reach && { reach: '≥ 5,000/s', reached: perSecond >= 5_000 }),
      })
    }
    const paced = await load.call<Burst>('paced', { userIds, convIds, seconds: SECONDS, perSecond: 1_000 })
    rows.push({
      what: `${engine}: 1,000 messages a second`,
      measured: `answer p50 ${ms(paced.answer.p50)}, p99 ${ms(paced.answer.p99)}; push p50 ${ms(paced.push.p50)}, p99 ${ms(paced.push.p99)}`,
      ...(engine === 'PostgreSQL' && { reach: 'p99 ≤ 50 ms', reached: paced.push.p99 <= 50 }),
    })
    const large = await load.call<Burst>('paced', {
      userIds,
      convIds: ['group:large'],
      seconds: SECONDS,
      perSecond: 200,
    })
    rows.push({
      what: `${engine}: a group of 5,000 members, 200 messages a second`,
      measured: `push p50 ${ms(large.push.p50)}, p99 ${ms(large.push.p99)}`,
    })
    await load.call('put', { convId: 'group:history', members: ['user_0'] })
    await server.call('fill', { convId: 'group:history', messages: HISTORY })
    const sync = await load.call<Percentiles>('sync', {
      userId: 'user_0',
      convId: 'group:history',
      messages: HISTORY,
      rounds: 200,
    })
    rows.push({
      what: `${engine}: sync of 200 messages out of ${thousands(HISTORY)}`,
      measured: `p50 ${ms(sync.p50)}, p99 ${ms(sync.p99)}`,
    })
  } finally {
    await Promise.all([server.stop(), load.stop()])
    await postgres?.stop()
    await nats.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return rows
}
