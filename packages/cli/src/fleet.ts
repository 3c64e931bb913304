import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Table from 'cli-table3'
import colors from 'picocolors'
import { home, root, writeFleetState } from './fleet-state.ts'
import { baseUrlOf, type Example, portOf, type ServiceInfo } from './service-info.ts'
import { findService, services } from './services/index.ts'
import { ToolError, USAGE } from './tool-error.ts'

export interface FleetOptions {
  /** Names of the services to start; default: all. */
  readonly only: readonly string[] | undefined
  /** The server's program; undefined where NATS_URL names a running one. */
  readonly natsServer: string | undefined
}

const READY_PATIENCE_MS = 30_000
const DISCOVERED_PATIENCE_MS = 5_000
const STOP_PATIENCE_MS = 10_000
const NATS_PORT = 4_222

/** Starts NATS and the services, says how to try them, and stops all of it on a signal. */
export async function startFleet({ only, natsServer }: FleetOptions): Promise<void> {
  const chosen = choose(only)
  const logs = join(home, 'logs')
  mkdirSync(logs, { recursive: true })
  const children: Child[] = []
  let stopping = false

  const stop = async (exitCode: number) => {
    if (stopping) {
      for (const child of children) child.kill('SIGKILL')
      process.exit(1)
    }
    stopping = true
    process.stdout.write('\nstopping …\n')
    // The services first: they still have something to say to NATS.
    const [nats, ...rest] = children
    await Promise.all(rest.map((child) => child.stop()))
    await nats?.stop()
    forget()
    process.exit(exitCode)
  }
  let forget = () => {}
  process.on('SIGINT', () => void stop(0))
  process.on('SIGTERM', () => void stop(0))

  const startChild = (
    name: string,
    command: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
  ) => {
    const child = new Child(name, command, args, environment, join(logs, `${name}.log`), (code) => {
      if (stopping) return
      process.stderr.write(`${colors.red(`${name} ended with ${code}`)}; its log: ${child.logFile}\n`)
      void stop(1)
    })
    children.push(child)
    return child
  }

  let natsUrl = process.env.NATS_URL
  if (natsServer !== undefined) {
    const port = (await isFree(NATS_PORT)) ? NATS_PORT : await freePort()
    if (port !== NATS_PORT) process.stdout.write(`port ${NATS_PORT} is taken; NATS listens on ${port}\n`)
    natsUrl = `nats://127.0.0.1:${port}`
    startChild(
      'nats-server',
      natsServer,
      ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', join(home, 'nats')],
      {},
    )
  }
  forget = writeFleetState({ pid: process.pid, natsUrl: natsUrl as string, ports: portsOf(chosen) })

  const environment = {
    DRAIN_DELAY_SECONDS: '0',
    DRAIN_SECONDS: '1',
    ...process.env,
    NATS_URL: natsUrl,
    CARILLON_HOME: home,
  }
  for (const service of chosen) {
    startChild(
      service.name,
      process.execPath,
      [join(root, 'apps', service.name, 'dist', 'main.js')],
      environment,
    )
  }
  try {
    await Promise.all(chosen.map((service) => ready(service, () => stopping)))
    await discovered(chosen)
  } catch (error) {
    if (stopping) return
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return stop(1)
  }
  if (stopping) return
  process.stdout.write(`${await describe(chosen, natsUrl as string)}\ncarillon ready\n`)
}

/** @throws {ToolError} for a name that no service has. */
function choose(only: readonly string[] | undefined): readonly ServiceInfo[] {
  if (only === undefined) return services
  const unknown = only.filter((name) => !findService(name))
  if (unknown.length === 0 && only.length > 0)
    return services.filter((each) => only.some((name) => findService(name) === each))
  const known = services.map(({ name }) => name).join(', ')
  throw new ToolError(
    `--only takes names of services, not ${unknown.join(', ') || 'nothing'}; services: ${known}`,
    USAGE,
  )
}

/** One process of the fleet. Its output goes to a log file, its complaints to the terminal as well. */
class Child {
  readonly logFile: string
  readonly #process: ChildProcess
  readonly #gone: Promise<void>

  constructor(
    name: string,
    command: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    logFile: string,
    ended: (code: number | string) => void,
  ) {
    this.logFile = logFile
    // A group of its own: Ctrl-C in the terminal reaches us, and we stop the children in order.
    this.#process = spawn(command, args, {
      env: { ...process.env, ...environment },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const log = createWriteStream(logFile)
    this.#process.stdout?.pipe(log)
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      log.write(chunk)
      if (name !== 'nats-server') process.stderr.write(chunk)
    })
    this.#gone = new Promise((resolve) => {
      this.#process.once('error', (error) => {
        ended(error.message)
        resolve()
      })
      this.#process.once('exit', (code, signal) => {
        ended(code ?? signal ?? 'nothing')
        resolve()
      })
    })
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  async stop(): Promise<void> {
    this.kill('SIGTERM')
    const timer = setTimeout(() => this.kill('SIGKILL'), STOP_PATIENCE_MS)
    await this.#gone
    clearTimeout(timer)
  }
}

async function ready(service: ServiceInfo, stopped: () => boolean): Promise<void> {
  const url = `${adminUrlOf(service)}/readyz`
  const patience = Date.now() + READY_PATIENCE_MS
  while (!stopped()) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
    if (answer?.ok) return
    if (Date.now() > patience)
      throw new Error(
        `${service.name} was not ready after ${READY_PATIENCE_MS / 1_000} s: ${await answer?.text()}`,
      )
    await sleep(50)
  }
}

/** Waits until discovery knows the gateways, for as long as they may take to announce themselves. */
async function discovered(chosen: readonly ServiceInfo[]): Promise<void> {
  const discovery = chosen.find(({ alias }) => alias === 'discovery')
  if (discovery === undefined) return
  const url = `${baseUrlOf(discovery)}/iapi/websocket/end_points`
  const patience = Date.now() + DISCOVERED_PATIENCE_MS
  while (Date.now() < patience) {
    const answer = (await (await fetch(url)).json()) as {
      end_points?: Record<string, { error_code: number }>
    }
    const known = ({ alias, client }: ServiceInfo) =>
      client === undefined || answer.end_points?.[alias]?.error_code === 0
    // Without an answer, as where requests must be signed, there is nothing to wait for.
    if (answer.end_points === undefined || chosen.every(known)) return
    await sleep(50)
  }
}

async function describe(chosen: readonly ServiceInfo[], natsUrl: string): Promise<string> {
  const table = new Table({ head: ['service', 'endpoint', 'admin'], style: { head: [], border: [] } })
  const lines: string[] = []
  for (const service of chosen) {
    const adminUrl = adminUrlOf(service)
    table.push([service.name, baseUrlOf(service), adminUrl])
    lines.push(colors.bold(service.name))
    for (const { label, text } of await examplesOf(service, adminUrl))
      lines.push(`  ${label.padEnd(8)} ${text}`)
  }
  return [table.toString(), `NATS: ${natsUrl}`, '', ...lines, ''].join('\n')
}

/** How to connect with a credential that is good for a day, then what the service suggests. */
async function examplesOf(service: ServiceInfo, adminUrl: string): Promise<readonly Example[]> {
  const { alias, client } = service
  const baseUrl = baseUrlOf(service)
  if (client === undefined) return service.examples({ baseUrl, adminUrl, user: '', credential: '' })
  const user = client.exampleUser
  const request = { user, ttlSeconds: 86_400, options: {}, env: process.env }
  const credential = await client.createCredential(request)
  return [
    { label: 'connect', text: baseUrl + client.path(request, credential) },
    { label: 'or', text: `npm run carillon -- connect ${alias} --user ${user}` },
    ...service.examples({ baseUrl, adminUrl, user, credential }),
  ]
}

function adminUrlOf({ admin }: ServiceInfo): string {
  return `http://127.0.0.1:${portOf(admin)}`
}

/** The ports that the services listen on, by their variables. */
function portsOf(chosen: readonly ServiceInfo[]): Record<string, number> {
  const ports = chosen.flatMap(({ listen, admin }) => (listen ? [listen, admin] : [admin]))
  return Object.fromEntries(ports.map((each) => [each.variable, portOf(each)]))
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
