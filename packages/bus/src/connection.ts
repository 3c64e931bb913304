import { readFileSync } from 'node:fs'
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
} from '@nats-io/transport-node'
import { abortController, delay } from './delay.ts'
import { reasonOf } from './errors.ts'
import { LinkMonitor } from './link-monitor.ts'

export interface BusOptions {
  /** One or more `nats://host:port`, separated by commas. */
  readonly url: string
  /** How this process appears in the server's monitoring. */
  readonly name: string
  readonly user?: string
  readonly password?: string
  readonly credsFile?: string
  /** Where answers to this process come in; default: the client's `_INBOX`. Permissions may ask for another. */
  readonly inboxPrefix?: string
  /** How many servers keep each stream and bucket; 1 unless the cluster has more. */
  readonly replicas?: number
  readonly log?: BusLog
}

/** What the bus says to the log. */
export interface BusLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const silent: BusLog = { info() {}, warn() {}, error() {} }

/** The first reconnect is spread a little, so that a fleet does not come back in one instant; later ones more. */
const FIRST_RETRY_MAX_MS = 250
const RETRY_MIN_MS = 200
const RETRY_MAX_MS = 1_200
/** One server that accepts a connection and says nothing is left for the next. */
const CONNECT_TIMEOUT_MS = 2_000
/** Addresses that a cluster has told of itself, beside the configured ones. */
const DISCOVERED_MAX = 32

type Listener = (connected: boolean) => void

/**
 * One NATS connection that never gives up: NATS may be absent at the start, and may come and go. Only this package
 * sees the client behind it. The client's own reconnecting is not used: it reckons by wall time, so that a clock
 * set back keeps it away, and it waits for ever to flush a link that is dead. Every connection is a fresh one;
 * {@link Subscriptions} opens what was subscribed to on each.
 */
export class Connection {
  readonly log: BusLog
  readonly #options: BusOptions
  readonly #listeners = new Set<Listener>()
  readonly #stopped = abortController()
  readonly #discovered = new Set<string>()
  #nats: NatsConnection | undefined
  #lastServer: string | undefined
  #connects = 0
  #running: Promise<void> | undefined

  constructor(options: BusOptions) {
    this.#options = options
    this.log = options.log ?? silent
  }

  get connected(): boolean {
    return this.#nats !== undefined
  }

  /** How often a connection was lost and made again. */
  get reconnects(): number {
    return Math.max(0, this.#connects - 1)
  }

  /** The client, while it is connected. Another one after each reconnect. */
  get nats(): NatsConnection | undefined {
    return this.#nats?.isClosed() ? undefined : this.#nats
  }

  /** Whether the server is one of several: what it has confirmed is known to the others a moment later. */
  get clustered(): boolean {
    return this.nats?.info?.cluster !== undefined
  }

  get replicas(): number {
    return this.#options.replicas ?? 1
  }

  get inboxPrefix(): string | undefined {
    return this.#options.inboxPrefix
  }

  get stopped(): AbortSignal {
    return this.#stopped.signal
  }

  /** Starts connecting in the background; answers at once. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Calls back at every change, and at once if the connection already stands. Answers how to stop that. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener)
    if (this.connected) listener(true)
    return () => this.#listeners.delete(listener)
  }

  /** Delivers what is under way, then closes; a server that does not answer is not waited for. */
  async stop(timeoutMs = 2_000): Promise<void> {
    const nats = this.#nats
    this.#stopped.abort()
    if (nats !== undefined && !nats.isClosed()) {
      await Promise.race([nats.drain().catch(() => {}), delay(timeoutMs)])
      if (!nats.isClosed()) await nats.close().catch(() => {})
    }
    // An attempt to connect that is under way ends by itself, and closes what it has opened.
    await Promise.race([this.#running, delay(timeoutMs)])
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const nats = await this.#connect()
      if (nats === undefined) return
      if (this.#stopped.signal.aborted) return void (await nats.close().catch(() => {}))
      await this.#use(nats)
      await delay(Math.random() * FIRST_RETRY_MAX_MS, this.#stopped.signal)
    }
  }

  /** A connected client, or undefined once stopped. */
  async #connect(): Promise<NatsConnection | undefined> {
    let lastReason = ''
    while (!this.#stopped.signal.aborted) {
      try {
        return await connect(this.#clientOptions())
      } catch (error) {
        const reason = reasonOf(error)
        if (reason !== lastReason) this.log.warn({ reason }, 'NATS is not reachable, trying on')
        lastReason = reason
        await delay(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS), this.#stopped.signal)
      }
    }
    return undefined
  }

  /** Tells the listeners of a client, and returns when it has closed. */
  async #use(nats: NatsConnection): Promise<void> {
    this.#connects += 1
    this.#lastServer = nats.getServer()
    const monitor = new LinkMonitor(nats, () => {
      this.log.warn({ server: nats.getServer() }, 'NATS has fallen silent, connecting afresh')
      void nats.close().catch(() => {})
    })
    this.#remember(nats)
    void this.#followStatus(nats)
    this.#nats = nats
    this.#changed(true)
    await nats.closed()
    monitor.stop()
    this.#nats = undefined
    this.#changed(false)
  }

  async #followStatus(nats: NatsConnection): Promise<void> {
    for await (const status of nats.status()) {
      if (status.type === 'error') this.log.error({ reason: status.error.message }, 'NATS refused')
      else if (status.type === 'update') this.#remember(nats)
    }
  }

  #clientOptions(): ConnectionOptions {
    const { name, user, password, credsFile, inboxPrefix } = this.#options
    return {
      servers: this.#servers(),
      noRandomize: true,
      name,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      // Read each time: credentials may be rotated.
      ...(credsFile !== undefined && { authenticator: credsAuthenticator(readFileSync(credsFile)) }),
      ...(inboxPrefix !== undefined && { inboxPrefix }),
      timeout: CONNECT_TIMEOUT_MS,
      reconnect: false,
      // For a link on which much arrives and nothing is answered; silence is the monitor's to notice.
      pingInterval: 20_000,
      maxPingOut: 3,
      noAsyncTraces: true,
    }
  }

  /** All known servers in random order, the one that was lost last at the end. */
  #servers(): string[] {
    const configured = this.#options.url.split(',').map((server) => server.trim())
    const addresses = new Set(configured.map((server) => server.replace(/^\w+:\/\//, '')))
    const others = [...this.#discovered].filter((server) => !addresses.has(server))
    return [...configured, ...others]
      .map((server) => ({ server, order: server.endsWith(this.#lastServer ?? '\n') ? 1 : Math.random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ server }) => server)
  }

  /** Keeps what a cluster tells of its other servers, while it can be asked. */
  #remember(nats: NatsConnection): void {
    const addresses = nats.info?.connect_urls ?? []
    if (addresses.length === 0) return
    this.#discovered.clear()
    for (const address of addresses.slice(0, DISCOVERED_MAX)) this.#discovered.add(address)
  }

  #changed(connected: boolean): void {
    this.log.info({ connected }, connected ? 'NATS connected' : 'NATS connection lost')
    for (const listener of this.#listeners) {
      try {
        listener(connected)
      } catch (error) {
        // One listener's mistake must not keep the others, and the next connection, from coming.
        this.log.error({ reason: reasonOf(error) }, 'a listener failed')
      }
    }
  }
}
