import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Bus } from '@carillon/bus'
import { discovery as announcements } from '@carillon/events'
import { eventually, loginToken, NatsServer, WebSocketClient } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

const root = resolve(import.meta.dirname, '..')

let home: string
let environment: NodeJS.ProcessEnv
let running: Run[]
let nats: NatsServer | undefined
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'carillon-home-'))
  const ports = await freePorts(8)
  const variables = [
    'DISCOVERY_LISTEN_PORT',
    'DISCOVERY_ADMIN_PORT',
    'AUCTION_LISTEN_PORT',
    'AUCTION_ADMIN_PORT',
    'QUOTE_LISTEN_PORT',
    'QUOTE_ADMIN_PORT',
  ]
  environment = { ...process.env, CARILLON_HOME: home, NODE_OPTIONS: '', NO_COLOR: '1' }
  for (const [i, variable] of variables.entries()) environment[variable] = String(ports[i])
  running = []
})
afterEach(async () => {
  await Promise.all(running.map((each) => each.stop('SIGKILL')))
  await nats?.stop()
  nats = undefined
  await rm(home, { recursive: true, force: true })
})

class Run {
  output = ''
  exitCode: number | null | undefined
  readonly #child: ChildProcess

  constructor(script: string, args: readonly string[], extra: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(process.execPath, [join(root, 'scripts', script), ...args], {
      env: { ...environment, ...extra },
    })
    this.#child.stdout?.on('data', (chunk) => (this.output += chunk))
    this.#child.stderr?.on('data', (chunk) => (this.output += chunk))
    this.#child.once('exit', (code) => (this.exitCode = code))
    running.push(this)
  }

  async ended(): Promise<number | null> {
    await eventually(() => this.exitCode !== undefined, 30_000)
    return this.exitCode as number | null
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    this.#child.kill(signal)
    return this.ended()
  }
}
const start = (...args: string[]) => new Run('start.mjs', args)
const carillon = async (...args: string[]) => {
  const run = new Run('carillon.mjs', args)
  return { exitCode: await run.ended(), output: run.output }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer()
      return new Promise<typeof server>((done) => server.listen(0, '127.0.0.1', () => done(server)))
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}

describe('npm start', () => {
  test('runs the fleet: the printed examples work, discovery knows the endpoint, Ctrl-C stops all of it', async () => {
    const fleet = start()
    await eventually(
      () => fleet.output.includes('\ncarillon ready\n') || fleet.exitCode !== undefined,
      60_000,
    )
    expect(fleet.output).toContain('carillon ready')

    const url = /connect\s+(ws:\S+\/ws\/\S+)/.exec(fleet.output)?.[1] as string
    const client = await WebSocketClient.connect(url)
    client.send('{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}')
    expect(await client.next()).toBe('success')
    const example = /npm run carillon -- publish (auction\.bid) (3607) '(.*)'/
      .exec(fleet.output)
      ?.slice(1) as string[]
    expect(await carillon('publish', ...example)).toMatchObject({
      exitCode: 0,
      output: 'published to auction.3607.bid, stored in AUCTION as 1\n',
    })
    expect(await client.nextJson()).toMatchObject({ event: 'bid', data: { auctionId: 3607 } })

    const discovery = `http://127.0.0.1:${environment.DISCOVERY_LISTEN_PORT}/iapi/websocket/end_point?service=auction`
    const answer = await eventually(async () => {
      const body = (await (await fetch(discovery)).json()) as { error_code: number; end_point: string }
      return body.error_code === 0 && body
    })
    expect(url.startsWith(`${answer.end_point}/ws/`)).toBe(true)
    const state = await carillon('state')
    expect(state.output).toMatch(/auction-push.*1 of 50000.*live/)

    expect(await fleet.stop()).toBe(0)
    await eventually(() => client.closed !== undefined)
    expect(client.closed?.code).toBe(1012)
    await expect(fetch(discovery)).rejects.toThrow()
  }, 120_000)

  test('a taken port is an error that names service, port and variable', async () => {
    const blocker = createServer()
    const port = Number(environment.AUCTION_LISTEN_PORT)
    await new Promise<void>((done) => blocker.listen(port, '0.0.0.0', done))
    const fleet = start('--only', 'auction-push')
    expect(await fleet.ended()).toBe(1)
    expect(fleet.output).toContain(
      `auction-push: port ${port} is taken; set AUCTION_LISTEN_PORT to another one`,
    )
    expect(fleet.output).not.toContain('carillon ready')
    await new Promise((done) => blocker.close(done))
  }, 60_000)

  test('an unknown service is a usage error', async () => {
    const fleet = start('--only', 'nonsense')
    expect(await fleet.ended()).toBe(2)
    expect(fleet.output).toContain('services: endpoint-discovery, auction-push')
  }, 60_000)
})

describe('processes of a fleet', () => {
  test('discovery spreads clients by load, and forgets an instance that is killed within 8 s', async () => {
    nats = await NatsServer.start()
    const [portA, portB, adminA, adminB] = await freePorts(4)
    const app = (name: string, extra: NodeJS.ProcessEnv) =>
      new Run(`../apps/${name}/dist/main.js`, [], { NATS_URL: nats?.url, DRAIN_DELAY_SECONDS: '0', ...extra })
    const discovery = app('endpoint-discovery', {})
    const a = app('auction-push', { AUCTION_LISTEN_PORT: String(portA), AUCTION_ADMIN_PORT: String(adminA) })
    const b = app('auction-push', { AUCTION_LISTEN_PORT: String(portB), AUCTION_ADMIN_PORT: String(adminB) })
    const ask = async () => {
      const response = await fetch(
        `http://127.0.0.1:${environment.DISCOVERY_LISTEN_PORT}/iapi/websocket/end_point?service=auction`,
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
    const heard = new Set<string>()
    bus.subscribe(announcements.announce, {}, ({ payload }) => heard.add(payload.instance_id))
    bus.start()
    await eventually(() => heard.size === 2)
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
  }, 60_000)

  test('a bad environment is told all at once, with exit code 1', async () => {
    const run = new Run('../apps/auction-push/dist/main.js', [], {
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
})

describe('the command-line tool', () => {
  test.each([
    [['token', 'nonsense', '--user', '1'], 2, "unknown command 'nonsense'"],
    [['token', 'auction', '--user', '1', '--ttl', 'x'], 2, '--ttl must be a whole number above 0, not x'],
    [['connect', 'discovery'], 2, 'auction|auction-push'],
    [['demo', 'quotes', '--seed', '0'], 2, '--seed must be a whole number above 0, not 0'],
    [['publish', 'auction.bid', '1', '{}', '--header', 'x'], 2, 'It must be "Name: value"'],
    [['token', 'auction'], 2, "required option '--user <id>'"],
    [['publish', 'auction.nonsense', '1', '{}'], 2, 'there is no event auction.nonsense'],
    [['publish', 'auction.bid', '{}'], 2, "usage: publish auction.bid <auctionId> '<JSON>'"],
    [
      ['publish', 'auction.bid', '1', '{}'],
      1,
      'not published to auction.1.bid: payload must have required properties',
    ],
    [['setting', 'auction-push.nonsense', '1'], 2, 'auction-push.idle_timeout_ms'],
    [['nonsense'], 2, "unknown command 'nonsense'"],
    [['--help'], 0, 'publish [options] <event> [idsAndPayload...]'],
  ])(
    '%j exits with %d',
    async (args, exitCode, message) => {
      const run = await carillon(...args)
      expect(run.output).toContain(message)
      expect(run.exitCode).toBe(exitCode)
    },
    30_000,
  )

  test('says where it looked for NATS', async () => {
    const run = new Run('carillon.mjs', ['state'], { NATS_URL: 'nats://127.0.0.1:1' })
    expect(await run.ended()).toBe(1)
    expect(run.output).toContain('NATS is not reachable at nats://127.0.0.1:1')
  }, 30_000)
})
