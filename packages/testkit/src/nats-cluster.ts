import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import { freePorts } from './free-ports.ts'
import { requestRaw } from './raw-publisher.ts'

const NODES = 3

interface Node {
  readonly name: string
  readonly port: number
  readonly routePort: number
  process: ChildProcess | undefined
}

/** A real cluster of three nats-servers with JetStream, on free ports and with a state folder of its own. */
export class NatsCluster {
  readonly #folder: string
  readonly #nodes: readonly Node[]

  private constructor(folder: string, nodes: readonly Node[]) {
    this.#folder = folder
    this.#nodes = nodes
  }

  /** Starts three nodes and waits until JetStream answers on each. */
  static async start(): Promise<NatsCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-nats-cluster-'))
    const ports = await freePorts(NODES * 2)
    const nodes = Array.from({ length: NODES }, (_, i) => ({
      name: `n${i}`,
      port: ports[i] as number,
      routePort: ports[NODES + i] as number,
      process: undefined,
    }))
    const cluster = new NatsCluster(folder, nodes)
    try {
      for (let i = 0; i < NODES; i++) cluster.#spawn(i)
      for (let i = 0; i < NODES; i++) await cluster.#answering(i)
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  /** All nodes, for `NATS_URL`. */
  get url(): string {
    return this.#nodes.map(({ port }) => `nats://127.0.0.1:${port}`).join(',')
  }

  urlOf(node: number): string {
    return `nats://127.0.0.1:${this.portOf(node)}`
  }

  portOf(node: number): number {
    return this.#node(node).port
  }

  /** As the first node that runs says, with two digits for the minor version: `2.09`, `2.15`. */
  async version(): Promise<string> {
    const socket = connect(this.portOf(this.#nodes.findIndex((node) => node.process)), '127.0.0.1')
    try {
      const [greeting] = await once(socket, 'data')
      const { version } = JSON.parse(/^INFO (.*)\r\n/.exec(String(greeting))?.[1] ?? '{}')
      const [major, minor] = String(version).split('.')
      return `${major}.${minor?.padStart(2, '0')}`
    } finally {
      socket.destroy()
    }
  }

  /** Kills a node; its state and its port are kept for {@link resume}. */
  async kill(node: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#node(node).process
    this.#node(node).process = undefined
    if (child === undefined || child.exitCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGCONT')
    child.kill(signal)
    await gone
  }

  /** Starts a killed node again, and waits until JetStream answers on it. */
  async resume(node: number): Promise<void> {
    this.#spawn(node)
    await this.#answering(node)
  }

  /** Suspends a node: its sockets stay open, and nothing is answered. */
  freeze(node: number): void {
    this.#node(node).process?.kill('SIGSTOP')
  }

  thaw(node: number): void {
    this.#node(node).process?.kill('SIGCONT')
  }

  /** The node that leads a stream, as another node (by default the first that runs) says. */
  async leaderOf(stream: string, ask = this.#nodes.findIndex((node) => node.process)): Promise<number> {
    return eventually(async () => {
      const info = JSON.parse(await requestRaw(this.portOf(ask), `$JS.API.STREAM.INFO.${stream}`))
      const leader = this.#nodes.findIndex(({ name }) => name === info.cluster?.leader)
      return leader < 0 ? false : leader
    }, 30_000)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((_, i) => this.kill(i)))
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }

  #spawn(index: number): void {
    const { name, port, routePort } = this.#node(index)
    const routes = this.#nodes.map((node) => `nats://127.0.0.1:${node.routePort}`)
    this.#node(index).process = spawn(
      process.env.NATS_SERVER ?? 'nats-server',
      [
        ...['--name', name, '-a', '127.0.0.1', '-p', String(port)],
        ...['-js', '-sd', join(this.#folder, name)],
        ...['--cluster_name', 'carillon', '--cluster', `nats://127.0.0.1:${routePort}`],
        ...['--routes', routes.join(',')],
      ],
      { stdio: 'ignore' },
    )
  }

  /** The cluster has to elect a leader before it answers. */
  async #answering(index: number): Promise<void> {
    await eventually(async () => {
      const info = JSON.parse(await requestRaw(this.portOf(index), '$JS.API.INFO'))
      return info.error === undefined
    }, 60_000)
  }

  #node(index: number): Node {
    const node = this.#nodes[index]
    if (node === undefined) throw new RangeError(`there is no node ${index}`)
    return node
  }
}
