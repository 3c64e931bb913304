import { readFileSync } from 'node:fs'
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
} from '@nats-io/transport-node'

export interface BusOptions {
  /** One or more `nats://host:port`, separated by commas. */
  readonly url: string
  /** How this process appears in the server's monitoring. */
  readonly name: string
  readonly user?: string
  readonly password?: string
  readonly credsFile?: string
  readonly log?: BusLog
}

/** What the bus says to the log. */
export interface BusLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const silent: BusLog = { info() {}, warn() {}, error() {} }

/** Reconnects are spread over this window, so that a fleet does not come back in one instant. */
const RECONNECT_MIN_MS = 200
const RECONNECT_MAX_MS = 1_200

type Listener = (connected: boolean) => void

/**
 * One NATS connection that never gives up: NATS may be absent at the start, and may come and go.
 * Only this package sees the client behind it.
 */
export class Connection {
  readonly log: BusLog
  readonly #options: BusOptions
  readonly #listeners = new Set<Listener>()
  readonly #stopped = new AbortController()
  #nats: NatsConnection | undefined
  #connected = false
  #reconnects = 0
  #starting: Promise<void> | undefined

  constructor(options: BusOptions) {
    this.#options = options
    this.log = options.log ?? silent
  }

  get connected(): boolean {
    return this.#connected
  }

  get reconnects(): number {
    return this.#reconnects
  }

  /** The client, once the first connection has been made. */
  get nats(): NatsConnection | undefined {
    return this.#nats
  }

  /** Starts connecting in the background; answers at once. */
  start(): void {
    this.#starting ??= this.#connectForEver()
  }

  /** Calls back at every change, and at once if the connection already stands. Answers how to stop that. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener)
    if (this.#connected) listener(true)
    return () => this.#listeners.delete(listener)
  }

  /** Delivers what is under way, then closes; a server that does not answer is not waited for. */
  async stop(timeoutMs = 2_000): Promise<void> {
    this.#stopped.abort()
    await this.#starting
    const nats = this.#nats
    if (nats === undefined || nats.isClosed()) return
    const drained = this.#connected ? nats.drain() : nats.close()
    await Promise.race([drained.catch(() => {}), delay(timeoutMs)])
    if (!nats.isClosed()) await nats.close().catch(() => {})
  }

  async #connectForEver(): Promise<void> {
    let complaint = ''
    while (!this.#stopped.signal.aborted) {
      try {
        this.#nats = await connect(this.#clientOptions())
        if (this.#stopped.signal.aborted) return
        this.#watch(this.#nats)
        this.#changed(true)
        return
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        if (reason !== complaint) this.log.warn({ reason }, 'NATS is not reachable, trying on')
        complaint = reason
        await delay(jitter(), this.#stopped.signal)
      }
    }
  }

  #clientOptions(): ConnectionOptions {
    const { url, name, user, password, credsFile } = this.#options
    return {
      servers: url.split(',').map((server) => server.trim()),
      name,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      ...(credsFile !== undefined && { authenticator: credsAuthenticator(readFileSync(credsFile)) }),
      timeout: 2_000,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: jitter,
      // Credentials may be rotated while we are away: keep trying.
      ignoreAuthErrorAbort: true,
      pingInterval: 10_000,
      maxPingOut: 2,
      noAsyncTraces: true,
    }
  }

  #watch(nats: NatsConnection): void {
    const follow = async () => {
      for await (const status of nats.status()) {
        if (status.type === 'disconnect') this.#changed(false)
        else if (status.type === 'reconnect') {
          this.#reconnects += 1
          this.#changed(true)
        } else if (status.type === 'error') this.log.error({ reason: status.error.message }, 'NATS refused')
      }
    }
    void follow()
    void nats.closed().then(() => this.#changed(false))
  }

  #changed(connected: boolean): void {
    if (this.#connected === connected) return
    this.#connected = connected
    this.log.info({ connected }, connected ? 'NATS connected' : 'NATS connection lost')
    for (const listener of this.#listeners) listener(connected)
  }
}

function jitter(): number {
  return RECONNECT_MIN_MS + Math.random() * (RECONNECT_MAX_MS - RECONNECT_MIN_MS)
}

/** Resolves after so many milliseconds, or as soon as the signal aborts. Holds no process open. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    timer.unref()
    signal?.addEventListener('abort', finish)
    if (signal?.aborted) finish()
  })
}
