import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { eventually } from './eventually.ts'
import { freePorts } from './free-ports.ts'

/** Compiling from source, beside many others that do the same. */
const START_MS = 180_000

/** An app in a process of its own, run from its source, which can be killed, paused and started again. */
export class AppProcess {
  readonly app: string
  readonly port: number
  readonly #adminPort: number
  readonly #environment: NodeJS.ProcessEnv
  #process: ChildProcess | undefined

  private constructor(app: string, ports: readonly number[], environment: NodeJS.ProcessEnv) {
    this.app = app
    this.port = ports[0] as number
    this.#adminPort = ports[1] as number
    this.#environment = environment
  }

  /** Starts the app of this folder on free ports and waits until it is ready. Its variables have this prefix. */
  static async start(app: string, prefix: string, environment: NodeJS.ProcessEnv): Promise<AppProcess> {
    const ports = await freePorts(2)
    const started = new AppProcess(app, ports, {
      LISTEN_HOST: '127.0.0.1',
      LOG_LEVEL: 'error',
      NODE_OPTIONS: '',
      ...environment,
      [`${prefix}_LISTEN_PORT`]: String(ports[0]),
      [`${prefix}_ADMIN_PORT`]: String(ports[1]),
    })
    await started.resume()
    return started
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Starts the process again, on the same ports, and waits until it is ready. */
  async resume(): Promise<void> {
    const main = resolve(import.meta.dirname, `../../../apps/${this.app}/src/main.ts`)
    const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', main], {
      env: { ...process.env, ...this.#environment },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    this.#process = child
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`${this.app} ended with ${child.exitCode}`)
      return (await fetch(`http://127.0.0.1:${this.#adminPort}/readyz`)).ok
    }, START_MS)
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  /** Ends the process and answers its exit code: null where a signal ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return child?.exitCode ?? null
    const gone = new Promise<number | null>((done) => child.once('exit', done))
    child.kill(signal)
    return gone
  }

  /** Its metrics by name, those with labels summed up. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`http://127.0.0.1:${this.#adminPort}/metrics`)).text()
    const values = new Map<string, number>()
    for (const [, name, value] of text.matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm))
      values.set(name as string, (values.get(name as string) ?? 0) + Number(value))
    return values
  }
}
