import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { Bus } from '@carillon/bus'
import { im } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { Remote } from '../remote.ts'
import { type CaseResult, ms, type Row, thousands } from '../result.ts'
import { percentiles } from '../statistics.ts'

const SECONDS = Number(process.env.BENCH_IM_SECONDS ?? 10)
const IDLE = Number(process.env.BENCH_IM_IDLE ?? 10_000)
const START_MS = 60_000
const OPEN_AT_ONCE = 500

/** nats-server, the message service on its embedded database, the gateway, and clients. */
class ImStack {
  readonly nats: NatsServer
  readonly folder: string
  readonly bus: Bus
  readonly storage: Remote
  readonly gateway: Remote
  readonly load: Remote

  private constructor(nats: NatsServer, folder: string, load: 'load/im-clients.ts' | 'load/raw-clients.ts') {
    this.nats = nats
    this.folder = folder
    const env = { NATS_URL: nats.url, CARILLON_HOME: folder }
    this.bus = new Bus({ url: nats.url, name: 'bench' })
    this.bus.start()
    this.storage = new Remote('servers/im-messages.ts', { env })
    this.gateway = new Remote('servers/im-gateway.ts', { core: 0, env })
    this.load = new Remote(load, { core: 1 })
  }

  static async start(load: 'load/im-clients.ts' | 'load/raw-clients.ts'): Promise<ImStack> {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'))
    const stack = new ImStack(await NatsServer.start(), folder, load)
    const remotes = [stack.storage, stack.gateway]
    await eventually(async () => {
      const ready = await Promise.all(remotes.map((remote) => remote.call<boolean>('ready')))
      return stack.bus.connected && ready.every(Boolean)
    }, START_MS)
    return stack
  }

  get port(): Promise<number> {
    return this.gateway.call<{ port: number }>('ports').then(({ port }) => port)
  }

  online(count: number): Promise<unknown> {
    return eventually(async () => {
      const online = await this.gateway.call<number>('online')
      if (online !== count) throw new Error(`${online} of ${count} are connected`)
    }, START_MS)
  }

  async stop(): Promise<void> {
    await Promise.all([this.storage.stop(), this.gateway.stop(), this.load.stop(), this.bus.stop()])
    await this.nats.stop()
    await rm(this.folder, { recursive: true, force: true })
  }
}

async function pathOf(userId: string): Promise<string> {
  const nowMs = Date.now()
  const claims = { sub: userId, created: nowMs, exp: Math.floor(nowMs / 1_000) + 86_400 }
  const parameters = {
    token: await signToken(DEVELOPMENT_SECRET, claims),
    userId,
    networkUsed: 'wifi',
    platform: 'ios',
    deviceId: 'bench',
    deviceModel: 'bench',
    osVersion: '1',
    appVersion: '1',
    language: 'en',
  }
  return `/ws?${new URLSearchParams(parameters)}`
}

const userOf = (index: number) => `u${String(index).padStart(5, '0')}`
const pairOf = (index: number) => `single:${userOf(index - (index % 2))}-${userOf(index - (index % 2) + 1)}`

interface Run {
  readonly sent: number
  readonly elapsedMs: number
  readonly answers: number[]
  readonly pushes: number[]
}

/** Sends through the gateway: stored, answered, pushed to both sides. */
export async function imSends(): Promise<CaseResult> {
  const rows: Row[] = []
  for (const connections of [50, 1_000]) {
    const stack = await ImStack.start('load/im-clients.ts')
    try {
      const indices = Array.from({ length: connections }, (_, i) => i)
      for (const index of indices.filter((each) => each % 2 === 0)) {
        const conversation = { convId: pairOf(index), members: [userOf(index), userOf(index + 1)] }
        await stack.bus.request(im.convPut, {}, conversation, { timeoutMs: 12_000 })
      }
      const paths = await Promise.all(indices.map((index) => pathOf(userOf(index))))
      await stack.load.call('open', { port: await stack.port, paths, convIds: indices.map(pairOf) })
      await stack.load.call('run', { seconds: 2 })
      const { sent, elapsedMs, answers, pushes } = await stack.load.call<Run>('run', { seconds: SECONDS })
      const [answer, push] = [percentiles(answers), percentiles(pushes)]
      rows.push(
        {
          what: `${thousands(connections)} connections, one message under way each: stored, answered and pushed`,
          measured: `${thousands((answers.length * 1_000) / elapsedMs)}/s`,
        },
        {
          what: 'send to answer p50 / p99; send to push p50 / p99',
          measured: `${ms(answer.p50)} / ${ms(answer.p99)}; ${ms(push.p50)} / ${ms(push.p99)}`,
        },
        {
          what: 'sent / answered / pushed to both sides',
          measured: `${thousands(sent)} / ${thousands(answers.length)} / ${thousands(pushes.length)}`,
          reach: 'none lost',
          reached: answers.length === sent && pushes.length >= 2 * sent,
        },
      )
    } finally {
      await stack.stop()
    }
  }
  return {
    title: 'IM sends through im-gateway',
    how: `Messages of 120 bytes between two users each, ${SECONDS} s; im-messages on PGlite; gateway on one core, clients on another, everything on one machine.`,
    rows,
  }
}

interface Memory {
  readonly rss: number
  readonly connections: number
}

/** What idle connections cost, each of a user with two conversations. */
export async function imIdle(): Promise<CaseResult> {
  const stack = await ImStack.start('load/raw-clients.ts')
  try {
    const port = await stack.port
    const first = Math.floor(IDLE / 2)
    const open = async (from: number, to: number) => {
      const users = Array.from({ length: to - from }, (_, i) => userOf(from + i))
      for (let i = 0; i < users.length; i += 100) {
        const members = users.slice(i, i + 100)
        for (const name of ['one', 'two']) {
          const conversation = { convId: `group:${name}-${from + i}`, members }
          await stack.bus.request(im.convPut, {}, conversation, { timeoutMs: 12_000 })
        }
      }
      // What waits for `connected` for long is closed: not all at once.
      for (let i = 0; i < users.length; i += OPEN_AT_ONCE) {
        const slice = users.slice(i, i + OPEN_AT_ONCE)
        await stack.load.call('open', { port, paths: await Promise.all(slice.map(pathOf)) })
        await stack.online(from + i + slice.length)
      }
      return (await stack.gateway.call<Memory>('memory')).rss
    }
    const before = await open(0, first)
    const after = await open(first, first + IDLE)
    return {
      title: 'Idle IM connections',
      how: `What ${thousands(IDLE)} connections, each of a user of two groups of 100, add to ${thousands(first)} in im-gateway: resident memory after a full collection.`,
      rows: [{ what: 'im-gateway', measured: `${((after - before) / IDLE / 1_024).toFixed(2)} KB each` }],
    }
  } finally {
    await stack.stop()
  }
}
