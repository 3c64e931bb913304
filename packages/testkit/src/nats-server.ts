import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'

/** A real nats-server with JetStream, on a free port and with a state folder of its own. */
export class NatsServer {
  readonly #folder: string
  readonly #configFile: string | undefined
  #process: ChildProcess | undefined
  #port = 0

  private constructor(folder: string, configFile: string | undefined) {
    this.#folder = folder
    this.#configFile = configFile
  }

  /** Starts a server; `configFile` adds accounts and permissions. */
  static async start(options: { readonly configFile?: string } = {}): Promise<NatsServer> {
    const server = new NatsServer(await mkdtemp(join(tmpdir(), 'carillon-nats-')), options.configFile)
    await server.resume()
    return server
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  /** Stops the process; its state and its port are kept for {@link resume}. */
  async halt(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  /** Starts the process, on the same port as before. */
  async resume(): Promise<void> {
    const child = spawn(
      process.env.NATS_SERVER ?? 'nats-server',
      [
        ...(this.#configFile ? ['-c', this.#configFile] : []),
        ...['-a', '127.0.0.1', '-p', String(this.#port || -1), '-js', '-sd', join(this.#folder, 'js')],
        ...['--ports_file_dir', this.#folder],
      ],
      { stdio: 'ignore' },
    )
    this.#process = child
    const failed = new Promise<never>((_, reject) => child.once('error', reject))
    failed.catch(() => {})
    const ports = eventually(() => this.#readPorts(child))
    const { nats } = await Promise.race([ports, failed])
    this.#port = Number(new URL(nats[0] as string).port)
  }

  /** The file is named after the executable and the process. */
  async #readPorts({ pid }: ChildProcess): Promise<{ readonly nats: readonly string[] } | false> {
    const name = (await readdir(this.#folder)).find((each) => each.endsWith(`_${pid}.ports`))
    return name !== undefined && JSON.parse(await readFile(join(this.#folder, name), 'utf8'))
  }

  async stop(): Promise<void> {
    await this.halt('SIGKILL')
    await rm(this.#folder, { recursive: true, force: true })
  }
}
