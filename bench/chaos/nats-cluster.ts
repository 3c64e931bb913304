import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@carillon/testkit'

interface Node {
  readonly config: string
  readonly port: number
  process: ChildProcess | undefined
}

/** Three real nats-servers with JetStream that form a cluster, or one alone. */
export class NatsCluster {
  readonly #folder: string
  readonly #nodes: Node[] = []

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async start(size: 1 | 3): Promise<NatsCluster> {
    const cluster = new NatsCluster(await mkdtemp(join(tmpdir(), 'carillon-cluster-')))
    const ports = await freePorts(size * 2)
    const routes = ports.slice(size).map((port) => `nats://127.0.0.1:${port}`)
    for (let i = 0; i < size; i++) {
      const config = join(cluster.#folder, `n${i}.conf`)
      const together =
        size === 1
          ? ''
          : `cluster { name: chaos, listen: "127.0.0.1:${ports[size + i]}", routes: ${JSON.stringify(routes)} }\n`
      await writeFile(
        config,
        `server_name: n${i}\nlisten: "127.0.0.1:${ports[i]}"\n` +
          `jetstream { store_dir: ${JSON.stringify(join(cluster.#folder, `js${i}`))} }\n${together}`,
      )
      cluster.#nodes.push({ config, port: ports[i] as number, process: undefined })
    }
    for (let i = 0; i < size; i++) cluster.resume(i)
    return cluster
  }

  get size(): number {
    return this.#nodes.length
  }

  get url(): string {
    return this.#nodes.map(({ port }) => `nats://127.0.0.1:${port}`).join(',')
  }

  resume(index: number): void {
    const node = this.#nodes[index] as Node
    node.process ??= spawn(process.env.NATS_SERVER ?? 'nats-server', ['-c', node.config], { stdio: 'ignore' })
  }

  async halt(index: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const node = this.#nodes[index] as Node
    const child = node.process
    node.process = undefined
    if (child === undefined || child.exitCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((_, i) => this.halt(i)))
    await rm(this.#folder, { recursive: true, force: true })
  }
}
