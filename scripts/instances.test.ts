import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Bus } from '@carillon/bus'
import { discovery as announcements } from '@carillon/events'
import { eventually, loginToken, NatsServer, WebSocketClient } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { freePorts, root, ScriptFolder } from './script-run.ts'

let folder: ScriptFolder
let nats: NatsServer | undefined
beforeEach(async () => {
  folder = await ScriptFolder.create()
})
afterEach(async () => {
  await folder.remove()
  await nats?.stop()
  nats = undefined
})

describe('processes of a fleet', () => {
  test('discovery spreads clients by load, and forgets an instance that is killed within 8 s', async () => {
    nats = await NatsServer.start()
    const [portA, portB, adminA, adminB] = await freePorts(4)
    const app = (name: string, extra: NodeJS.ProcessEnv) =>
      folder.run(`../apps/${name}/dist/main.js`, [], {
        NATS_URL: nats?.url,
        DRAIN_DELAY_SECONDS: '0',
        ...extra,
      })
    const discovery = app('endpoint-discovery', {})
    const a = app('auction-push', { AUCTION_LISTEN_PORT: String(portA), AUCTION_ADMIN_PORT: String(adminA) })
    const b = app('auction-push', { AUCTION_LISTEN_PORT: String(portB), AUCTION_ADMIN_PORT: String(adminB) })
    const ask = async () => {
      const response = await fetch(
        `http://127.0.0.1:${folder.port('DISCOVERY_LISTEN_PORT')}/iapi/websocket/end_point?service=auction`,
      )
      return ((await response.json()) as { end_point?: string }).end_point
    }
    const named = async (asks: number) => {
      const counts = new Map<string | undefined, number>()
      for (let i = 0; i < asks; i++) {
        const endPoint = await ask()
        counts.set(endPoint, (counts.get(endPoint) ?? 0) + 1)
      }
      return counts
    }
    const started = performance.now()
    await eventually(async () => (await named(10)).size === 2)
    expect(performance.now() - started).toBeLessThan(8_000)
    // Those asks count as clients on their way until both instances have said how many came.
    const bus = new Bus({ url: nats.url, name: 'test' })
    const announced = new Set<string>()
    bus.subscribe(announcements.announce, {}, ({ payload }) => announced.add(payload.instance_id))
    bus.start()
    await eventually(() => announced.size === 2)
    await bus.stop()

    // Forty clients ask, and connect where they are told to.
    const clients: WebSocketClient[] = []
    const counts = new Map<string, number>()
    for (let user = 0; user < 40; user++) {
      const endPoint = (await ask()) as string
      counts.set(endPoint, (counts.get(endPoint) ?? 0) + 1)
      clients.push(await WebSocketClient.connect(`${endPoint}/ws/${await loginToken(user)}`))
    }
    for (const port of [portA, portB]) expect(counts.get(`ws://127.0.0.1:${port}`)).toBeGreaterThanOrEqual(10)
    for (const client of clients) client.close()

    const killed = performance.now()
    await b.stop('SIGKILL')
    // An orderly end: exit code 0, and discovery knows at once.
    expect(await a.stop('SIGTERM')).toBe(0)
    await eventually(async () => !(await named(10)).has(`ws://127.0.0.1:${portA}`), 1_000)
    await eventually(async () => (await ask()) === undefined)
    expect(performance.now() - killed).toBeLessThan(8_000)
    expect(await discovery.stop('SIGTERM')).toBe(0)
  })

  test('a bad environment is told all at once, with exit code 1', async () => {
    const run = folder.run('../apps/auction-push/dist/main.js', [], {
      AUCTION_LISTEN_PORT: 'abc',
      DRAIN_SECONDS: '-1',
      NODE_ENV: 'production',
    })
    expect(await run.ended()).toBe(1)
    for (const variable of ['AUCTION_LISTEN_PORT', 'DRAIN_SECONDS', 'AUTH_HS256_SECRET']) {
      expect(run.output).toContain(variable)
    }
    expect(run.output).not.toContain('at ')
  })

  const whereLimited = existsSync('/proc/self/limits') ? test : test.skip
  whereLimited(
    'no more connections are let in than the limit of open files has room for',
    async () => {
      nats = await NatsServer.start()
      const main = join(root, 'apps', 'auction-push', 'dist', 'main.js')
      const run = folder.spawn('sh', ['-c', 'ulimit -n 600; exec "$0" "$@"', process.execPath, main], {
        NATS_URL: nats.url,
        DRAIN_SECONDS: '0',
        DRAIN_DELAY_SECONDS: '0',
      })
      await eventually(() => run.output.includes('the limit of open files leaves room for fewer connections'))
      expect(run.output).toContain('"connections_max":50000,"open_files_max":600,"lowered_to":344')
      const metrics = await eventually(async () => {
        const response = await fetch(`http://127.0.0.1:${folder.port('AUCTION_ADMIN_PORT')}/metrics`)
        return response.text()
      })
      expect(metrics).toMatch(/^carillon_connections_max\{.*\} 344$/m)
      expect(await run.stop('SIGTERM')).toBe(0)
    },
    60_000,
  )
})
