import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import colors from 'picocolors'
import type { ServiceInfo } from '../service-info.ts'
import { findService, services } from '../services/index.ts'
import { ToolError, USAGE } from '../tool-error.ts'
import { readFleetState, removeFleetState, root, stateFolder, writeFleetState } from './fleet-state.ts'
import { freePort, isFree } from './free-port.ts'
import type { FromSupervisor, ProcessPlan } from './messages.ts'
import { natsFolderIsFree, natsPlan } from './nats.ts'
import { discovered, ready } from './readiness.ts'
import { stopRequests } from './stop-requests.ts'
import { summary } from './summary.ts'
import { SupervisorProcess } from './supervisor-process.ts'

export interface FleetOptions {
  /** Whose child the starter was at its beginning: the fleet stops when npm is gone, during the build as well. */
  readonly parentPid: number
  /** Names of the services to start; default: all. */
  readonly only: readonly string[] | undefined
  /** The server's program; undefined where NATS_URL names a running one. */
  readonly natsServer: string | undefined
}

const NATS_PORT = 4_222

const print = (line: string) => void process.stdout.write(`${line}\n`)
const printError = (text: string) => void process.stderr.write(text)

/** Starts NATS and the services, says how to try them, and stops all of it when it is asked to. */
export async function startFleet({ parentPid, only, natsServer }: FleetOptions): Promise<void> {
  const selected = selectServices(only)
  const stopping = new AbortController()
  const instances = new Map<string, string>()

  const ports = await resolvePorts(selected)
  const natsPort = natsServer === undefined ? undefined : await choosePort(NATS_PORT)
  const natsUrl = natsPort === undefined ? (process.env.NATS_URL as string) : `nats://127.0.0.1:${natsPort}`
  const written = writeFleetState({ pid: process.pid, natsUrl, ports })
  process.on('exit', removeFleetState)
  if (natsServer !== undefined) {
    if (!written) {
      throw new ToolError(
        `a fleet runs from ${stateFolder()} already (process ${readFleetState()?.pid}); ` +
          'stop it, or set CARILLON_HOME to another folder',
      )
    }
    await natsFolderIsFree(print)
  }

  const supervisor = new SupervisorProcess(received, () => {
    printError(colors.red('the supervisor ended; everything is stopped\n'))
    leave(1)
  })
  stopRequests({ parentPid, stop: () => void stop(0), kill: () => leave(1) })

  function received(message: FromSupervisor): void {
    if (message.type === 'stderr') return printError(message.text)
    if (message.type === 'started') return void instances.set(message.name, message.instanceId)
    printError(
      `${colors.red(`${message.name} ended with ${message.code}`)}; its log: ${logFileOf(message.name)}\n`,
    )
    void stop(1)
  }

  async function stop(exitCode: number): Promise<void> {
    if (stopping.signal.aborted) return
    stopping.abort()
    print('\nstopping …')
    await supervisor.stop()
    leave(exitCode)
  }

  function leave(exitCode: number): never {
    supervisor.kill()
    process.exit(exitCode)
  }

  const plans = selected.map((service) => servicePlan(service, natsUrl))
  if (natsServer !== undefined && natsPort !== undefined) {
    plans.unshift(natsPlan(natsServer, natsPort, logFileOf('nats-server')))
  }
  supervisor.start(plans)
  try {
    await Promise.all(
      selected.map((service) => ready(service, (name) => instances.get(name), stopping.signal)),
    )
    await discovered(selected, stopping.signal)
    if (!stopping.signal.aborted) print(`${await summary(selected, natsUrl)}\ncarillon ready`)
  } catch (error) {
    if (stopping.signal.aborted) return
    printError(`${error instanceof Error ? error.message : String(error)}\n`)
    await stop(1)
  }
}

/** @throws {ToolError} for a name that no service has. */
function selectServices(only: readonly string[] | undefined): readonly ServiceInfo[] {
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

/**
 * The ports of the services by their variables, which are set for the services and the summary alike. One that is 0
 * becomes a free one, so that it can be printed.
 */
async function resolvePorts(selected: readonly ServiceInfo[]): Promise<Record<string, number>> {
  const ports: Record<string, number> = {}
  for (const { listen, admin } of selected) {
    for (const { variable, port } of listen ? [listen, admin] : [admin]) {
      const wanted = Number(process.env[variable] || port)
      ports[variable] = wanted === 0 ? await freePort() : wanted
      // What is wrong with a value is for the service to say.
      if (!Number.isNaN(wanted)) process.env[variable] = String(ports[variable])
    }
  }
  return ports
}

async function choosePort(wanted: number): Promise<number> {
  if (await isFree(wanted)) return wanted
  const port = await freePort()
  print(`port ${wanted} is taken; NATS listens on ${port}`)
  return port
}

function servicePlan({ name }: ServiceInfo, natsUrl: string): ProcessPlan {
  return {
    name,
    command: process.execPath,
    args: [join(root, 'apps', name, 'dist', 'main.js')],
    env: {
      LISTEN_HOST: '127.0.0.1',
      DRAIN_DELAY_SECONDS: '0',
      DRAIN_SECONDS: '1',
      ...process.env,
      NATS_URL: natsUrl,
      CARILLON_HOME: stateFolder(),
    },
    logFile: logFileOf(name),
    isService: true,
  }
}

function logFileOf(name: string): string {
  const folder = join(stateFolder(), 'logs')
  mkdirSync(folder, { recursive: true })
  return join(folder, `${name}.log`)
}
