import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { eventually } from '@carillon/testkit'

export const root = resolve(import.meta.dirname, '..')

const END_TIMEOUT_MS = 180_000
const PORT_VARIABLES = ['DISCOVERY', 'AUCTION', 'QUOTE', 'VOICE', 'IM', 'IM_MESSAGES', 'CAMPUS'].flatMap(
  (prefix) => [`${prefix}_LISTEN_PORT`, `${prefix}_ADMIN_PORT`],
)

/** A script of this folder, or an app, as a process. */
export class ScriptRun {
  output = ''
  exitCode: number | string | undefined
  readonly #child: ChildProcess

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(command, args, { cwd: root, env })
    this.#child.stdout?.on('data', (chunk) => (this.output += chunk))
    this.#child.stderr?.on('data', (chunk) => (this.output += chunk))
    this.#child.once('exit', (code, signal) => (this.exitCode = code ?? signal ?? ''))
  }

  /** Types a line. */
  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  get pid(): number {
    return this.#child.pid as number
  }

  async ended(): Promise<number | string> {
    await eventually(() => this.exitCode !== undefined, END_TIMEOUT_MS)
    return this.exitCode as number | string
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | string> {
    this.#child.kill(signal)
    return this.ended()
  }

  /** Waits until a fleet has started, or has failed to. */
  async ready(): Promise<void> {
    await eventually(
      () => this.output.includes('\ncarillon ready\n') || this.exitCode !== undefined,
      END_TIMEOUT_MS,
    )
    if (!this.output.includes('\ncarillon ready\n')) throw new Error(`not ready:\n${this.output}`)
  }
}

/** A state folder of its own with free ports, and what runs there. */
export class ScriptFolder {
  readonly home: string
  readonly env: NodeJS.ProcessEnv
  readonly #running: ScriptRun[] = []

  private constructor(home: string, env: NodeJS.ProcessEnv) {
    this.home = home
    this.env = env
  }

  static async create(): Promise<ScriptFolder> {
    const home = await mkdtemp(join(tmpdir(), 'carillon-home-'))
    const ports = await freePorts(PORT_VARIABLES.length)
    const variables = PORT_VARIABLES.map((name, i) => [name, String(ports[i])])
    const env: NodeJS.ProcessEnv = { ...process.env, CARILLON_HOME: home, NODE_OPTIONS: '', NO_COLOR: '1' }
    delete env.NATS_URL
    return new ScriptFolder(home, Object.assign(env, Object.fromEntries(variables)))
  }

  /** The port that a variable names. */
  port(variable: string): number {
    return Number(this.env[variable])
  }

  run(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ScriptRun {
    return this.spawn(process.execPath, [join(root, 'scripts', script), ...args], env)
  }

  spawn(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ScriptRun {
    const run = new ScriptRun(command, args, { ...this.env, ...env })
    this.#running.push(run)
    return run
  }

  start(...args: string[]): ScriptRun {
    return this.run('start.mjs', args)
  }

  async carillon(...args: string[]): Promise<{ exitCode: number | string; output: string }> {
    const run = this.run('carillon.mjs', args)
    return { exitCode: await run.ended(), output: run.output }
  }

  /** Command lines of all processes that were started here, directly or not, by their process ids. */
  processes(): Map<number, string> {
    const found = new Map<number, string>()
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue
      try {
        const environment = readFileSync(`/proc/${entry}/environ`, 'utf8').split('\0')
        if (!environment.includes(`CARILLON_HOME=${this.home}`)) continue
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        if (command) found.set(Number(entry), command)
      } catch {
        // It has ended meanwhile, or is somebody else's.
      }
    }
    return found
  }

  async remove(): Promise<void> {
    await Promise.all(this.#running.map((each) => each.stop('SIGKILL')))
    if (canListProcesses) {
      for (const pid of this.processes().keys()) process.kill(pid, 'SIGKILL')
      await eventually(() => this.processes().size === 0)
    }
    await rm(this.home, { recursive: true, force: true })
  }
}

/** Whether the processes of this machine, with their environments, can be looked at. */
export const canListProcesses = existsSync('/proc/self/environ')

export async function freePorts(count: number): Promise<number[]> {
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
