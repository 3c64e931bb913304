import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { eventually, freePorts } from '@carillon/testkit'

/** One instance of an app, in a process of its own. */
export class Instance {
  readonly port: number
  readonly #process: ChildProcess
  readonly #adminPort: number

  private constructor(process: ChildProcess, port: number, adminPort: number) {
    this.#process = process
    this.port = port
    this.#adminPort = adminPort
  }

  /** Starts the app and waits until it is ready. Its variables have this prefix. */
  static async start(app: string, prefix: string, environment: NodeJS.ProcessEnv): Promise<Instance> {
    const [port, adminPort] = (await freePorts(2)) as [number, number]
    const main = resolve(import.meta.dirname, `../../apps/${app}/src/main.ts`)
    const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', main], {
      env: {
        ...process.env,
        LISTEN_HOST: '127.0.0.1',
        LOG_LEVEL: 'error',
        [`${prefix}_LISTEN_PORT`]: String(port),
        [`${prefix}_ADMIN_PORT`]: String(adminPort),
        ...environment,
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const instance = new Instance(child, port, adminPort)
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`${app} ended with ${child.exitCode}`)
      return (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status === 200
    }, 60_000)
    return instance
  }

  /** Its metrics by name, those with labels summed up. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`http://127.0.0.1:${this.#adminPort}/metrics`)).text()
    const values = new Map<string, number>()
    for (const [, name, value] of text.matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm))
      values.set(name as string, (values.get(name as string) ?? 0) + Number(value))
    return values
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const gone = new Promise((done) => this.#process.once('exit', done))
    this.#process.kill(signal)
    await gone
  }
}
