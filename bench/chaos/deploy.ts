import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Bus } from '@carillon/bus'
import { AppProcess, eventually, NatsServer, PostgresServer, postgresBin } from '@carillon/testkit'
import { auctionTraffic } from './deploy/auction.ts'
import { campusTraffic } from './deploy/campus.ts'
import { EndPoints } from './deploy/end-points.ts'
import { imTraffic } from './deploy/im.ts'
import { quoteTraffic } from './deploy/quote.ts'
import { Sessions } from './deploy/sessions.ts'
import type { Traffic, TrafficOptions } from './deploy/traffic.ts'
import { voiceTraffic } from './deploy/voice.ts'
import type { ChaosCase, ChaosOptions } from './main.ts'
import { seeded } from './random.ts'

interface GatewayInfo {
  readonly prefix: string
  readonly traffic: (options: TrafficOptions) => Traffic
}

const gateways: Readonly<Record<string, GatewayInfo>> = {
  'auction-push': { prefix: 'AUCTION', traffic: auctionTraffic },
  'quote-interact': { prefix: 'QUOTE', traffic: quoteTraffic },
  'voice-room-ws': { prefix: 'VOICE', traffic: voiceTraffic },
  'im-gateway': { prefix: 'IM', traffic: imTraffic },
  'campus-socketio': { prefix: 'CAMPUS', traffic: campusTraffic },
}

export interface DeployChaos {
  /** Gateways that are rolled out; default: all. */
  readonly apps?: readonly string[]
  /** Clients of each protocol, over two instances. */
  readonly clients: number
  readonly drainSeconds: number
  readonly drainDelaySeconds: number
  readonly seed: number
  readonly print: (line: string) => void
}

const INSTANCES = 2
const RETURN_MS = 30_000
/** Below it, chance alone makes peaks of twice the even rate. */
const EVEN_RATE_MIN = 5

/**
 * Rolls out every gateway as a deployment does, one instance after the other, a new one first, while clients of all
 * protocols are connected and are sent messages.
 */
export const deploy: ChaosCase = ({ fault, seed, print }: ChaosOptions) =>
  deployChaos({
    ...(fault !== undefined && { apps: [fault] }),
    ...{ clients: 200, drainSeconds: 10, drainDelaySeconds: 3, seed, print },
  })

export async function deployChaos(options: DeployChaos): Promise<readonly string[]> {
  const { apps = Object.keys(gateways), print } = options
  const random = seeded(options.seed)
  const folder = await mkdtemp(join(tmpdir(), 'carillon-deploy-'))
  const nats = await NatsServer.start()
  // Two message services need a database server; the embedded database is one process's.
  const postgres = apps.includes('im-gateway') && postgresBin() ? await PostgresServer.start() : undefined
  const fleet = new Fleet({
    NATS_URL: nats.url,
    CARILLON_HOME: folder,
    DRAIN_SECONDS: String(options.drainSeconds),
    DRAIN_DELAY_SECONDS: String(options.drainDelaySeconds),
    ...(postgres && { IM_DATABASE_URL: postgres.url }),
  })
  const bus = new Bus({ url: nats.url, name: 'deploy' })
  const running: Traffic[] = []
  try {
    bus.start()
    await eventually(() => bus.connected)
    const discovery = await fleet.start('endpoint-discovery', 'DISCOVERY')
    const services = apps.includes('im-gateway') ? (postgres ? INSTANCES : 1) : 0
    for (let i = 0; i < services; i++) await fleet.start('im-messages', 'IM_MESSAGES')
    for (const app of apps) for (let i = 0; i < INSTANCES; i++) await fleet.start(app, gatewayOf(app).prefix)
    await sleep(2_500)

    const protocols = apps.map((app) => {
      const sessions = new Sessions()
      const endPoints = new EndPoints(discovery.url, random)
      const { clients } = options
      return { app, sessions, traffic: gatewayOf(app).traffic({ clients, bus, endPoints, sessions, random }) }
    })
    for (const { traffic } of protocols) {
      running.push(traffic)
      await traffic.start()
    }
    print(`${options.clients} clients of each protocol, ${INSTANCES} instances of each gateway`)

    const failures: string[] = []
    for (const { app, sessions } of protocols) {
      const startedAt = performance.now()
      if (app === 'im-gateway' && postgres) await fleet.roll('im-messages', 'IM_MESSAGES')
      const rolled = await fleet.roll(app, gatewayOf(app).prefix)
      const lastEnd = performance.now()
      await eventually(() => sessions.connected >= options.clients, RETURN_MS).catch(() => {})
      const steadyMs = performance.now() - lastEnd
      const away = options.clients - sessions.connected
      if (away > 0) failures.push(`${app}: ${away} clients did not come back within ${RETURN_MS} ms`)
      failures.push(...sessions.lost.map((each) => `${app}: ${each}`))
      const { reconnects, peakPerSecond } = sessions.since(startedAt)
      // A client can be drained twice: first to the other old instance, then from it.
      const evenRate = Math.max(...rolled.map((count) => count / options.drainSeconds))
      const ratio = peakPerSecond / evenRate
      if (evenRate >= EVEN_RATE_MIN && ratio > 2)
        failures.push(
          `${app}: ${peakPerSecond} reconnects in one second, the even rate is ${evenRate.toFixed(1)}`,
        )
      print(
        `${app}: ${reconnects} reconnects, at most ${peakPerSecond} in one second (${ratio.toFixed(2)} × the even rate), ` +
          `${sessions.lost.length} sessions lost, away ${sessions.awayMs.median.toFixed(0)} ms in the median and ` +
          `${sessions.awayMs.longest.toFixed(0)} ms at most, steady ${Math.max(0, steadyMs).toFixed(0)} ms after the last exit`,
      )
    }
    for (const { app, sessions, traffic } of protocols) {
      const { expected, missed, broken, notes = [] } = await traffic.finish()
      const codes = [...sessions.closeCodes].map(([code, count]) => `${code}: ${count}`).join(', ')
      print([`${app}: ${missed} of ${expected} missed`, `closed with ${codes}`, ...notes].join('; '))
      failures.push(...broken.map((each) => `${app}: ${each}`))
    }
    return failures
  } finally {
    for (const traffic of running) traffic.stop()
    await fleet.stop()
    await bus.stop()
    await postgres?.stop()
    await nats.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

function gatewayOf(app: string): GatewayInfo {
  const info = gateways[app]
  if (info === undefined)
    throw new Error(`there is no gateway ${app}; gateways: ${Object.keys(gateways).join(', ')}`)
  return info
}

/** The processes of all apps. */
class Fleet {
  readonly #environment: Readonly<Record<string, string>>
  readonly #processes = new Map<string, AppProcess[]>()

  constructor(environment: Readonly<Record<string, string>>) {
    this.#environment = environment
  }

  async start(app: string, prefix: string): Promise<AppProcess> {
    const started = await AppProcess.start(app, prefix, this.#environment)
    this.#processes.set(app, [...(this.#processes.get(app) ?? []), started])
    return started
  }

  /** Replaces each instance, a new one first. Answers how many connections each had when it was told to stop. */
  async roll(app: string, prefix: string): Promise<number[]> {
    const connections: number[] = []
    for (const old of [...(this.#processes.get(app) ?? [])]) {
      await this.start(app, prefix)
      connections.push((await old.metrics()).get('carillon_connections') ?? 0)
      const code = await old.stop('SIGTERM')
      if (code !== 0) throw new Error(`${app} ended with ${code} after SIGTERM`)
      this.#processes.set(
        app,
        (this.#processes.get(app) ?? []).filter((each) => each !== old),
      )
    }
    return connections
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#processes.values()].flat().map((each) => each.stop('SIGKILL')))
  }
}
