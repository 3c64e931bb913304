import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { natsUsers } from '@carillon/events'
import { eventually, freePorts } from '@carillon/testkit'
import { passwordVariable } from '../../scripts/nats-users.ts'
import { passwordOf } from './restricted-nats.ts'

const NODES = 3
const folder = new URL('../nats/', import.meta.url)
const executable = process.env.NATS_SERVER ?? 'nats-server'

interface Stream {
  readonly name: string
  readonly config: { readonly num_replicas: number }
  readonly cluster?: { readonly leader?: string }
}

/**
 * The cluster of deploy/nats, from the shipped files: three nats-servers of this machine. Only what three servers on one
 * machine cannot share is replaced: their addresses.
 */
export class ShippedCluster {
  readonly #home: string
  readonly #ports: readonly number[]
  readonly #nodes: (ChildProcess | undefined)[] = []

  private constructor(home: string, ports: readonly number[]) {
    this.#home = home
    this.#ports = ports
  }

  static async start(): Promise<ShippedCluster> {
    const home = await mkdtemp(join(tmpdir(), 'carillon-nats-shipped-'))
    const cluster = new ShippedCluster(home, await freePorts(NODES * 3))
    try {
      await cluster.#copyConfiguration()
      for (let node = 0; node < NODES; node++) cluster.#spawn(node)
      for (let node = 0; node < NODES; node++) await cluster.healthy(node)
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  /** All servers, for `NATS_URL`. */
  get url(): string {
    return this.#ports
      .slice(0, NODES)
      .map((port) => `nats://127.0.0.1:${port}`)
      .join(',')
  }

  routePort(node: number): number {
    return this.#port(1, node)
  }

  /** What the readiness probe of Kubernetes asks. */
  async healthy(node: number): Promise<void> {
    await eventually(async () => {
      const response = await this.#monitor(node, '/healthz?js-server-only=true').catch(() => undefined)
      return response?.ok ?? false
    }, 60_000)
  }

  /** The streams of all accounts as a server knows them: buckets are streams as well. */
  async streams(node: number): Promise<readonly Stream[]> {
    const response = await this.#monitor(node, '/jsz?streams=true&config=true')
    const { account_details = [] } = (await response.json()) as {
      readonly account_details?: readonly { readonly stream_detail?: readonly Stream[] }[]
    }
    return account_details.flatMap(({ stream_detail = [] }) => stream_detail)
  }

  /** The server that leads a stream, as another says. */
  async leaderOf(stream: string, ask: number): Promise<number> {
    return eventually(async () => {
      const found = (await this.streams(ask)).find(({ name }) => name === stream)
      const leader = Number(found?.cluster?.leader?.split('-')[1] ?? -1)
      return leader >= 0 && [leader]
    }, 60_000).then(([leader]) => leader as number)
  }

  async kill(node: number): Promise<void> {
    const child = this.#nodes[node]
    this.#nodes[node] = undefined
    if (child === undefined || child.exitCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((_, node) => this.kill(node)))
    await rm(this.#home, { recursive: true, force: true, maxRetries: 5 })
  }

  #monitor(node: number, path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#port(2, node)}${path}`)
  }

  /** The shipped files, each server's with ports of its own. */
  async #copyConfiguration(): Promise<void> {
    const read = (name: string) => readFile(new URL(name, folder), 'utf8')
    let text = await read('nats-server.conf')
    // As the file itself says.
    if (/v2\.9\./.test(execFileSync(executable, ['--version'], { encoding: 'utf8' })))
      text = replaced(text, '  sync_interval: always', '')
    await writeFile(join(this.#home, 'accounts.conf'), await read('accounts.conf'))
    for (let node = 0; node < NODES; node++) {
      const own = [4222, 6222, 8222].reduce(
        (configuration, port, kind) =>
          replaced(configuration, `0.0.0.0:${port}`, `127.0.0.1:${this.#port(kind, node)}`),
        text,
      )
      await writeFile(join(this.#home, `nats-${node}.conf`), own)
    }
  }

  #port(kind: number, node: number): number {
    return this.#ports[kind * NODES + node] as number
  }

  #spawn(node: number): void {
    const routes = Array.from(
      { length: NODES },
      (_, i) => `nats://routes:secret@127.0.0.1:${this.routePort(i)}`,
    )
    const users = ['monitor', ...natsUsers.map(({ name }) => name)]
    this.#nodes[node] = spawn(executable, ['--config', join(this.#home, `nats-${node}.conf`)], {
      stdio: 'ignore',
      env: {
        ...Object.fromEntries(users.map((user) => [passwordVariable(user), passwordOf(user)])),
        NODE_NAME: `nats-${node}`,
        STORE_FOLDER: join(this.#home, `nats-${node}`),
        ROUTES_PASSWORD: 'secret',
        CLUSTER_ROUTES: `[${routes.join(', ')}]`,
        PATH: process.env.PATH,
      },
    })
  }
}

function replaced(text: string, part: string, by: string): string {
  if (!text.includes(part)) throw new Error(`deploy/nats/nats-server.conf has no ${part}`)
  return text.replace(part, by)
}
