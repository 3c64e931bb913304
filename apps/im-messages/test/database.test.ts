import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { EnvironmentError } from '@carillon/service'
import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { DiskFull, embeddedEngine } from '../src/database/embedded.ts'
import { classify } from '../src/database/failure.ts'
import { FolderInUse, FolderLock } from '../src/database/folder-lock.ts'
import { create, readConfig } from '../src/server.ts'
import { ready } from './ready.ts'
import { engines, Stage } from './stage.ts'

async function readiness(adminPort: number): Promise<{ status: number; reason: string | undefined }> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
  const { reason } = (await response.json()) as { reason?: string }
  return { status: response.status, reason }
}

const shared = engines.filter((engine) => engine === 'PostgreSQL')
const whereShared = shared.length > 0 ? describe.each(shared) : describe.skip.each(['PostgreSQL'] as const)

whereShared('%s that comes and goes', (engine) => {
  let stage: Stage
  beforeEach(async () => {
    stage = await Stage.open(engine)
  })
  afterEach(() => stage.close())

  test.each(['SIGKILL', 'SIGINT', 'SIGSTOP'] as const)(
    'while it is away (%s), requests get a coded answer in bounded time; afterwards all goes on',
    async (signal) => {
      const service = await stage.service()
      await stage.putGroup('group:a', ['ann'])
      const ann = stage.user('ann')
      const pushed = await stage.conversation('group:a')
      const answered: string[] = []
      let stop = false
      const refused: string[] = []
      // Sends without a pause, and sends again what was not answered with Success, as a client does.
      const sender = async () => {
        for (let n = 0; !stop; n++) {
          const message = ann.message('group:a', `${n}`)
          for (;;) {
            try {
              await ann.sendAll([message])
              answered.push(message.clientMsgId as string)
              break
            } catch (error) {
              refused.push((error as { code?: string }).code ?? String(error))
              if (stop) return
              await new Promise((resolve) => setTimeout(resolve, 20))
            }
          }
        }
      }
      const senders = [sender(), sender(), sender()]
      await eventually(() => answered.length > 20)
      if (signal === 'SIGSTOP') stage.postgres?.freeze()
      else await stage.postgres?.halt(signal)
      await eventually(() => refused.length > 30, 60_000)
      await eventually(async () => {
        const { status, reason } = await readiness(service.adminPort)
        return status === 503 && reason?.startsWith('the database')
      })
      expect((await fetch(`http://127.0.0.1:${service.adminPort}/healthz`)).status).toBe(200)
      await expect(ann.seqs(['group:a'])).rejects.toMatchObject({ code: 'RetryError' })
      await expect(ann.pending()).rejects.toMatchObject({ code: 'RetryError' })
      const before = answered.length
      if (signal === 'SIGSTOP') stage.postgres?.thaw()
      else await stage.postgres?.resume()
      await eventually(() => answered.length > before + 20, 60_000)
      stop = true
      await Promise.all(senders)
      // No other code, and none was left without an answer for as long as a gateway waits.
      expect(new Set(refused)).toEqual(new Set(['RetryError']))
      await eventually(async () => (await readiness(service.adminPort)).status === 200)

      // Every answered message is there once, and the numbers have no gaps.
      const maxSeq = Number((await ann.seqs(['group:a']))['group:a']?.maxSeq)
      const stored: string[] = []
      for (let from = 1; from <= maxSeq; from += 200) {
        const seqs = Array.from({ length: Math.min(200, maxSeq - from + 1) }, (_, i) => from + i)
        stored.push(...(await ann.sync('group:a', seqs)).map(({ clientMsgId }) => clientMsgId))
      }
      expect(stored).toHaveLength(maxSeq)
      expect(new Set(stored).size).toBe(maxSeq)
      expect(answered.filter((id) => !stored.includes(id))).toEqual([])
      await eventually(() => new Set(pushed.seqs).size === maxSeq)
    },
  )

  test('a service starts without it, says so, and serves when it is there', async () => {
    await stage.postgres?.halt()
    const service = create(readConfig(stage.environment()))
    await service.start()
    expect(await readiness(service.adminPort)).toMatchObject({ status: 503 })
    await stage.postgres?.resume()
    await eventually(async () => (await readiness(service.adminPort)).status === 200)
    await ready(service)
    expect(await stage.putGroup('group:a', ['ann'])).toMatchObject({ error_code: 0 })
    await service.stop()
  })
})

describe('an embedded database', () => {
  let stage: Stage
  beforeEach(async () => {
    stage = await Stage.open('PGlite')
  })
  afterEach(() => stage.close())

  test('is not used while its disk is full', async () => {
    // More than any disk has.
    const refused = await embeddedEngine(stage.folder, 2 ** 62).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(DiskFull)
    expect(classify(refused)).toBe('away')
    await (await embeddedEngine(stage.folder, 0)).close()
  })

  test('belongs to one service, which a second one is told', async () => {
    await stage.service()
    const second = create(readConfig(stage.environment()))
    await expect(second.start()).rejects.toThrow(
      new RegExp(`^${stage.folder}/im-messages is in use by process ${process.pid}: .*IM_DATABASE_URL`),
    )
  })

  test('is opened again after its process was killed, with all that was answered', async () => {
    const script = new URL('crash.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', script], {
      env: { ...process.env, ...stage.environment(), NODE_OPTIONS: '', TSX_TSCONFIG_PATH: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const gone = new Promise((resolve) => child.once('exit', resolve))
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    try {
      await eventually(() => output.includes('ready'), 60_000)
      await stage.putGroup('group:a', ['ann'])
      const ann = stage.user('ann')
      const answered: string[] = []
      let sending = true
      const sends = (async () => {
        while (sending) {
          const message = ann.message('group:a', 'x')
          await ann.sendAll([message]).then(
            () => answered.push(message.clientMsgId as string),
            () => {},
          )
        }
      })()
      await eventually(() => answered.length > 50)
      // In the middle of a write, most likely.
      child.kill('SIGKILL')
      await gone
      sending = false
      const pushed = await stage.conversation('group:a')
      await stage.service()
      await sends
      for (const clientMsgId of answered) expect(await ann.get({ clientMsgId })).toBeDefined()
      const { maxSeq } = (await ann.seqs(['group:a']))['group:a'] ?? {}
      await ann.send('group:a', 'goes on')
      await eventually(() => pushed.seqs.includes(String(Number(maxSeq) + 1)))
    } finally {
      child.kill('SIGKILL')
    }
  })
})

describe('the lock of a folder', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'carillon-lock-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))
  const path = () => join(folder, 'lock.1')
  const writeLock = (holder: object) => writeFile(path(), JSON.stringify(holder))

  test('one of many takes it, and nothing is left behind', async () => {
    const takes = await Promise.allSettled(Array.from({ length: 20 }, () => FolderLock.take(folder)))
    const taken = takes.filter((take) => take.status === 'fulfilled')
    expect(taken).toHaveLength(1)
    for (const take of takes) if (take.status === 'rejected') expect(take.reason).toBeInstanceOf(FolderInUse)
    expect(await readdir(folder)).toEqual(['lock.1'])
    for (const { value } of taken) await value.release()
    expect(await readdir(folder)).toEqual(['lock.1'])
    await (await FolderLock.take(folder)).release()
    expect(await readdir(folder)).toEqual(['lock.2'])
  })

  test.each([
    ['a process that is gone', { pid: 2 ** 22 + 1, began: '1', host: hostname() }],
    ['a process whose id came again', { pid: process.pid, began: '1', host: hostname() }],
    ['nobody', {}],
  ])('is taken over from %s', async (_who, holder) => {
    await writeLock(holder)
    const takes = await Promise.allSettled(Array.from({ length: 20 }, () => FolderLock.take(folder)))
    const taken = takes.filter((take) => take.status === 'fulfilled')
    expect(taken).toHaveLength(1)
    for (const { value } of taken) await value.release()
  })

  test('of another host, it is taken over once that one is silent', async () => {
    await writeLock({ pid: 1, began: '1', host: 'elsewhere' })
    await expect(FolderLock.take(folder)).rejects.toThrow('in use by process 1 on elsewhere')
    const then = new Date(Date.now() - 60_000)
    await utimes(path(), then, then)
    const lock = await FolderLock.take(folder)
    expect(Date.now() - (await stat(join(folder, 'lock.2'))).mtimeMs).toBeLessThan(30_000)
    await lock.release()
  })
})

describe('the environment', () => {
  test.each([
    [{ IM_DATABASE_URL: 'mysql://x' }, 'IM_DATABASE_URL'],
    [{ IM_MESSAGE_RETENTION_DAYS: '10' }, 'IM_MESSAGE_RETENTION_DAYS must be 0, or at least 11'],
    [{ IM_NOTICE_RETENTION_DAYS: '-1' }, 'IM_NOTICE_RETENTION_DAYS'],
    [{ IM_DATABASE_CONNECTIONS: 'many' }, 'IM_DATABASE_CONNECTIONS'],
  ])('%j is refused', (environment, message) => {
    expect(() => readConfig(environment)).toThrow(EnvironmentError)
    expect(() => readConfig(environment)).toThrow(message)
  })
})
