import { type ChildProcess, spawn } from 'node:child_process'
import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { sql } from 'kysely'
import type { Session } from '../src/database/database.ts'
import { create, readConfig } from '../src/server.ts'
import { ready } from './ready.ts'
import { engines, type MessageService, Stage } from './stage.ts'

const shared = engines.filter((engine) => engine === 'PostgreSQL')
const whereShared = shared.length > 0 ? describe.each(shared) : describe.skip.each(['PostgreSQL'] as const)

whereShared('%s that others use', (engine) => {
  let stage: Stage
  let service: MessageService
  beforeAll(async () => {
    stage = await Stage.open(engine)
    service = await stage.service({ IM_DATABASE_CONNECTIONS: '2' })
    for (const group of ['group:a', 'group:b']) await stage.putGroup(group, ['ann'])
  })
  afterAll(() => stage.close())

  /** A transaction that goes on until it is told to end, and is never idle for long. */
  const longTransaction = async (of: MessageService, first: (session: Session) => Promise<unknown>) => {
    let end = false
    let begun = false
    const done = of.database.transaction(async (session) => {
      await first(session)
      begun = true
      while (!end) {
        await sql`select 1`.execute(session)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })
    await eventually(() => begun)
    return {
      async end() {
        end = true
        await done
      },
    }
  }
  const lock = (convId: string) => (session: Session) =>
    sql`select from conversations where conv_id = ${convId} for update`.execute(session)
  const readiness = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).status
  const failures = async (kind: string) => {
    const metrics = await service.metrics.registry.metrics()
    return Number(
      new RegExp(`database_failures_total\\{kind="${kind}"[^}]*\\} (\\d+)`).exec(metrics)?.[1] ?? 0,
    )
  }

  test('too much to do is not the same as away: RetryError says so, and the instance stays ready', async () => {
    const ann = stage.user('ann')
    const holders = [
      await longTransaction(service, async () => {}),
      await longTransaction(service, async () => {}),
    ]
    const awayBefore = await failures('away')
    const busy = { code: 'RetryError', message: 'the database is busy' }
    await expect(ann.seqs(['group:a'])).rejects.toMatchObject(busy)
    await expect(ann.send('group:a', 'x')).rejects.toMatchObject(busy)
    expect(service.database.availability.available).toBe(true)
    expect(await readiness()).toBe(200)
    expect(await failures('busy')).toBeGreaterThanOrEqual(2)
    expect(await failures('away')).toBe(awayBefore)
    for (const holder of holders) await holder.end()
    await ann.send('group:a', 'x')
  })

  test('a lock that is not given is not waited for longer than for an answer', async () => {
    const ann = stage.user('ann')
    const other = create(readConfig(stage.environment()))
    await other.start()
    await ready(other)
    const holder = await longTransaction(other, lock('group:a'))
    await expect(ann.send('group:a', 'y')).rejects.toMatchObject({ code: 'RetryError' })
    // The others go on, and so does this one.
    await ann.send('group:b', 'y')
    await holder.end()
    await ann.send('group:a', 'y')
    expect(service.database.availability.available).toBe(true)
    await other.stop()
  })

  test('a process that stands still with the lock of a conversation loses it, and others go on', async () => {
    const script = new URL('hold-lock.ts', import.meta.url).pathname
    const child: ChildProcess = spawn(
      process.execPath,
      ['--conditions=source', '--import', 'tsx', script, stage.postgres?.url ?? '', 'group:a'],
      { env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const gone = new Promise((resolve) => child.once('exit', resolve))
    let output = ''
    child.stdout?.on('data', (chunk) => (output += chunk))
    try {
      await eventually(() => output.includes('holding'), 60_000)
      child.kill('SIGSTOP')
      const ann = stage.user('ann')
      const message = ann.message('group:a', 'z')
      // At the first try on a machine that keeps its time; a client tries again in any case.
      await eventually(() => ann.sendAll([message]).then(() => true))
      child.kill('SIGCONT')
      // It finds that it has lost its transaction, and can begin another one.
      await eventually(() => output.includes('lost, and connected again'))
    } finally {
      child.kill('SIGKILL')
      await gone
    }
  })
})
