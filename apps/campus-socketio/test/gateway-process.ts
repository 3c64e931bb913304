import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { eventually, freePorts, type NatsServer, testEnvironment } from '@carillon/testkit'

/** The service in a process of its own, which can be killed and paused. */
export class GatewayProcess {
  readonly port: number
  readonly #adminPort: number
  readonly #environment: Record<string, string>
  #process: ChildProcess | undefined

  private constructor(port: number, adminPort: number, environment: Record<string, string>) {
    this.port = port
    this.#adminPort = adminPort
    this.#environment = environment
  }

  static async start(nats: NatsServer, environment: Record<string, string> = {}): Promise<GatewayProcess> {
    const [port, adminPort] = (await freePorts(2)) as [number, number]
    const gateway = new GatewayProcess(port, adminPort, {
      ...testEnvironment('CAMPUS', nats),
      ...environment,
      CAMPUS_LISTEN_PORT: String(port),
      CAMPUS_ADMIN_PORT: String(adminPort),
    })
    await gateway.resume()
    return gateway
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  /** Starts the process (again), on the same port as before. */
  async resume(): Promise<void> {
    const main = resolve(import.meta.dirname, '../src/main.ts')
    const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', main], {
      env: { ...process.env, NODE_OPTIONS: '', ...this.#environment },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    this.#process = child
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}`)
      return (await fetch(`http://127.0.0.1:${this.#adminPort}/readyz`)).ok
    }, 60_000)
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return child?.exitCode ?? null
    const gone = new Promise<number | null>((done) => child.once('exit', done))
    child.kill(signal)
    return gone
  }
}
