import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bus } from '@carillon/bus'
import { im } from '@carillon/events'
import { eventually, freePorts, NatsServer, PostgresServer } from '@carillon/testkit'
import { AppProcess, type Victim } from './app-process.ts'
import { Choices } from './choices.ts'
import { ImClient, pause } from './client.ts'
import { Ledger } from './ledger.ts'
import { databaseOutage } from './outage.ts'

export interface ImChaosOptions {
  readonly engine: 'postgres' | 'pglite'
  readonly seconds: number
  /** PostgreSQL goes away for so long, once, and nothing else is killed. */
  readonly databaseAwaySeconds?: number
  readonly seed: number
  readonly print?: (line: string) => void
  readonly clients?: number
}

const GROUPS = 5
const SINGLES = 5
/** How long everything may take to come to rest after the last kill. */
const SETTLE_MS = 120_000

/**
 * Clients that talk through two gateways while gateways, message services, the broker and the database are killed and
 * started again at random. Afterwards everything that was promised is held against everything that was seen.
 */
export async function runImChaos(options: ImChaosOptions): Promise<Ledger> {
  const { engine, seconds, seed, print = () => {}, clients: clientCount = 20 } = options
  const random = new Choices(seed)
  const ledger = new Ledger()
  const died = (reason: string) => ledger.violation(reason)
  const folder = await mkdtemp(join(tmpdir(), 'carillon-chaos-'))
  const nats = await NatsServer.start()
  const postgres = engine === 'postgres' ? await PostgresServer.start() : undefined
  const [portA, portB, ...adminPorts] = (await freePorts(postgres ? 4 : 3)) as [number, number, ...number[]]

  const common = {
    NATS_URL: nats.url,
    LISTEN_HOST: '127.0.0.1',
    ADMIN_HOST: '127.0.0.1',
    LOG_LEVEL: 'fatal',
    CARILLON_HOME: folder,
    IM_ADMIN_PORT: '0',
    IM_NOTICE_REDELIVERY_MS: '1000',
    ...(postgres && { IM_DATABASE_URL: postgres.url }),
  }
  const gateways = [portA, portB].map(
    (port, i) =>
      new AppProcess(`im-gateway ${i + 1}`, 'im-gateway', { ...common, IM_LISTEN_PORT: String(port) }, died),
  )
  const services = adminPorts.map((port, i) => {
    const env = { ...common, IM_MESSAGES_ADMIN_PORT: String(port) }
    return new AppProcess(`im-messages ${i + 1}`, 'im-messages', env, died)
  })
  const broker: Victim = {
    name: 'nats-server',
    kill: () => nats.halt('SIGKILL'),
    start: () => nats.resume(),
  }
  const database: Victim[] = postgres
    ? [{ name: 'PostgreSQL', kill: () => postgres.halt('SIGKILL'), start: () => postgres.resume() }]
    : []
  const victims: Victim[] = [...gateways, ...services, broker, ...database]

  const bus = new Bus({ url: nats.url, name: 'chaos' })
  bus.start()
  const clients: ImClient[] = []
  try {
    for (const app of [...services, ...gateways]) await app.start()

    // Who talks with whom.
    const users = Array.from({ length: clientCount }, (_, i) => `user_${i}`)
    const members = new Map<string, readonly string[]>()
    for (let i = 0; i < SINGLES; i++) {
      const pair = [users[2 * i] as string, users[2 * i + 1] as string].sort() as [string, string]
      members.set(`single:${pair.join('-')}`, pair)
    }
    for (let i = 0; i < GROUPS; i++) {
      members.set(
        `group:${i}`,
        users.filter((_, n) => (n + i) % 3 !== 0),
      )
    }
    for (const [convId, list] of members) {
      await eventually(async () => {
        const done = await bus.request(im.convPut, {}, { convId, members: [...list] }, { timeoutMs: 12_000 })
        return done.error_code === 0
      }, 60_000)
    }

    const urls = [portA, portB].map((port) => `ws://127.0.0.1:${port}`)
    const own = (userId: string) =>
      [...members].flatMap(([convId, list]) => (list.includes(userId) ? [convId] : []))
    // What is killed, and when, is repeated by the seed; what clients do has numbers of its own.
    const talk = new Choices(seed + 1_000)
    const end = { now: false }
    for (const userId of users)
      clients.push(new ImClient(userId, urls, own(userId), ledger, new Choices(seed + clients.length + 1)))
    const running = clients.map((client) => client.run())
    const talking = clients.map(async (client) => {
      const convIds = own(client.userId)
      while (!end.now && convIds.length > 0) {
        await client.send(talk.pick(convIds))
        await pause(talk.between(5, 60))
      }
    })
    const noticing = (async () => {
      for (let n = 0; !end.now; n++) {
        const userIds = users.filter(() => talk.next() < 0.3)
        const notice = { convId: `notice:${n % 2}`, title: `${n}`, contentType: 1, content: '' }
        if (userIds.length > 0) {
          const sent = await bus
            .request(im.noticeSend, {}, { userIds, notice }, { timeoutMs: 12_000 })
            .catch(() => undefined)
          if (sent?.noticeId) ledger.notices.set(sent.noticeId, userIds)
        }
        await pause(talk.between(50, 150))
      }
    })()

    await eventually(() => clients.every(({ synced }) => synced), SETTLE_MS)
    const awaySeconds = options.databaseAwaySeconds
    if (postgres && awaySeconds !== undefined)
      await databaseOutage({ postgres, adminPorts, ledger, awaySeconds, print })
    // Kill, and start again.
    const finish = performance.now() + (awaySeconds === undefined ? seconds * 1_000 : 0)
    while (performance.now() < finish) {
      const victim = random.pick(victims)
      print(
        `  ${String(Math.round(seconds - (finish - performance.now()) / 1_000)).padStart(4)} s  kill ${victim.name}`,
      )
      ledger.count(`kills of ${victim.name.replace(/ \d$/, '')}`)
      await victim.kill()
      await pause(random.between(50, 1_500))
      await victim.start()
      await pause(random.between(200, 3_000))
    }

    // Let everything come to rest: what was begun is finished, and everybody has fetched everything.
    end.now = true
    await eventually(() => clients.every(({ unanswered }) => unanswered === 0), SETTLE_MS)
    await Promise.all([...talking, noticing])
    const highest = new Map<string, number>()
    await eventually(async () => {
      for (const client of clients) {
        const last = client.synced ? await client.highest() : undefined
        if (last === undefined) return false
        for (const [convId, seq] of last) highest.set(convId, seq)
      }
      return [...members].every(([convId, list]) =>
        list.every((userId) => ledger.seenBy(userId, convId).size >= (highest.get(convId) ?? 0)),
      )
    }, SETTLE_MS).catch(() => {})
    await eventually(
      () =>
        [...ledger.notices].every(([id, list]) =>
          list.every((user) => ledger.delivered.has(`${user} ${id}`)),
        ),
      SETTLE_MS,
    ).catch(() => {})
    for (const client of clients) client.stop()
    await Promise.all(running)
    ledger.close(members, highest)
  } catch (error) {
    ledger.violation(error instanceof Error ? (error.stack ?? error.message) : String(error))
  } finally {
    for (const client of clients) client.stop()
    for (const app of [...gateways, ...services]) await app.kill('SIGKILL')
    await bus.stop()
    await postgres?.stop()
    await nats.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return ledger
}
