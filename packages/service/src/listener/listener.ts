import type { ListenerCloseCodes, ProtocolError } from '@carillon/codec'
import { type Counters, createCounters } from '@carillon/fanout'
import websocket from '@fastify/websocket'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { Counter } from 'prom-client'
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.ts'
import { listen } from '../listening.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { TimingWheel } from '../timing-wheel.ts'
import { Connection, type Handler, type Identity, type Surroundings } from './connection.ts'
import type { Limits } from './limits.ts'
import { Registry } from './registry.ts'
import { endRefusedUpgrades, releaseUpgrade } from './upgrade.ts'

/** Who it is, or why nobody is let in: an HTTP status before the upgrade, and a reason for the metric. */
export type Authentication =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly status: number; readonly failure: string }

/** The HTTP request that asks for the upgrade. */
export type UpgradeRequest = FastifyRequest

export type Authenticate = (request: UpgradeRequest) => Authentication | Promise<Authentication>

export interface ListenerOptions {
  readonly service: string
  readonly host: string
  readonly port: number
  /** The variable that changes the port, for the error when it is taken. */
  readonly portVariable: string
  readonly trustProxy: boolean
  readonly limits: Limits
  readonly closeCodes: ListenerCloseCodes
  readonly errorFrame: (error: ProtocolError) => Uint8Array
  readonly idleTimeoutMs: () => number
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly log: Logger
  readonly metrics: Metrics
}

/** Longer than any request line that Node accepts: a long token is refused as a token, not as a path. */
const PATH_PARAMETER_MAX = 65_536

/** Accepts WebSocket connections, within limits, and closes them in order. */
export class Listener {
  readonly connections = new Registry()
  readonly counters: Counters = createCounters()
  readonly #options: ListenerOptions
  readonly #server: FastifyInstance
  readonly #around: Surroundings
  readonly #opened: Counter
  readonly #authFailures: Counter<'reason'>
  readonly #refused: Counter<'reason'>
  #accepting = true
  #port: number | undefined

  constructor(options: ListenerOptions) {
    this.#options = options
    const { limits, metrics } = options
    this.#server = fastify({
      logger: false,
      trustProxy: options.trustProxy,
      routerOptions: { maxParamLength: PATH_PARAMETER_MAX },
      http: {
        headersTimeout: limits.unauthenticatedMs,
        requestTimeout: limits.unauthenticatedMs,
        connectionsCheckingInterval: Math.ceil(limits.unauthenticatedMs / 10),
      },
      return503OnClosing: true,
      forceCloseConnections: true,
    })
    this.#server.register(websocket, {
      options: {
        maxPayload: limits.frameBytesHardMax,
        perMessageDeflate: false,
        clientTracking: false,
        // Pings count as frames and pongs as queued bytes: our limits close with a code that says so.
        ...{ maxPendingAutoPongs: 0 },
      },
      // Connections are closed by drain(): the plugin's own way waits for every peer.
      preClose: (done) => done(),
      errorHandler: (error, socket) => {
        options.log.error({ err: error }, 'a connection could not be opened')
        socket.terminate()
      },
    })
    let framesIn = 0
    let bytesIn = 0
    const closes = metrics.counter('connections_closed_total', 'Connections closed, by close code', ['code'])
    this.#around = {
      ...options,
      counters: this.counters,
      frameReceived: (bytes) => {
        framesIn += 1
        bytesIn += bytes
      },
      ended: (connection, code) => {
        this.connections.remove(connection)
        closes.inc({ code })
      },
      failed: (error) => options.log.error({ err: error }, 'a handler failed'),
    }
    this.#opened = metrics.counter('connections_opened_total', 'Connections opened')
    this.#authFailures = metrics.counter('auth_failures_total', 'Upgrades refused for their credentials', [
      'reason',
    ])
    this.#refused = metrics.counter('connections_refused_total', 'Upgrades refused by a limit', ['reason'])
    metrics.countOf('frames_in_total', 'Frames received, pings and pongs included', () => framesIn)
    metrics.countOf('bytes_in_total', 'Payload bytes received', () => bytesIn)
    this.#describeTo(metrics)
  }

  /** The port that is listened on, once started. */
  get port(): number {
    if (this.#port === undefined) throw new Error('the listener is not started')
    return this.#port
  }

  /**
   * Accepts connections on these paths. Credentials are checked before the upgrade; `open` must attach what it needs
   * at once, since the client's first frame may be there already.
   */
  accept(
    paths: readonly string[],
    authenticate: Authenticate,
    open: (connection: Connection, identity: Identity) => Handler,
  ): void {
    const identities = new WeakMap<FastifyRequest, Identity>()
    this.#server.register(async (scope) => {
      const route = (url: string) => ({
        method: 'GET' as const,
        url,
        preValidation: async (request: FastifyRequest, reply: FastifyReply) => {
          if (!request.ws)
            return reply.code(426).header('Upgrade', 'websocket').send({ error: 'a WebSocket endpoint' })
          const full = this.#fullFor(request.ip)
          if (full) return this.#turnAway(full, reply)
          const found = await authenticate(request)
          if (!found.ok) {
            this.#authFailures.inc({ reason: found.failure })
            return reply.code(found.status).send({ error: found.failure })
          }
          // Once more: others have come while the credentials were looked at.
          const fullNow = this.#fullFor(request.ip, found.identity.userId)
          if (fullNow) return this.#turnAway(fullNow, reply)
          identities.set(request, found.identity)
        },
        handler: () => {},
        wsHandler: (socket: WebSocket, request: FastifyRequest) => {
          releaseUpgrade(socket, request)
          const identity = identities.get(request) as Identity
          const connection = new Connection(socket, identity, request.ip, this.#around)
          this.connections.add(connection)
          this.#opened.inc()
          connection.open(open(connection, identity))
        },
      })
      for (const path of paths) scope.route(route(path))
    })
  }

  async start(): Promise<void> {
    // The plugin's own listener must come first.
    await this.#server.ready()
    endRefusedUpgrades(this.#server)
    this.#port = await listen(this.#server, {
      service: this.#options.service,
      host: this.#options.host,
      port: this.#options.port,
      variable: this.#options.portVariable,
    })
  }

  /** Refuses upgrades from now on; open connections stay. */
  stopAccepting(): void {
    this.#accepting = false
  }

  /** Closes all connections evenly over so many milliseconds, with jitter, and waits until they are gone. */
  async drain(overMs: number): Promise<void> {
    const open = [...this.connections]
    const { closeCodes, limits } = this.#options
    const startedAt = performance.now()
    for (const [i, connection] of open.entries()) {
      const jitter = Math.random() - 0.5
      await until(startedAt + (overMs * Math.max(0, i + jitter)) / open.length)
      connection.close(closeCodes.draining)
    }
    const patience = performance.now() + limits.closeMs
    while (this.connections.size > 0 && performance.now() < patience) await until(performance.now() + 10)
    for (const connection of this.connections) connection.terminate()
  }

  async stop(): Promise<void> {
    this.stopAccepting()
    for (const connection of this.connections) connection.terminate()
    // A peer that the HTTP server does not let go of must not hold up the exit.
    const patience = new Promise((resolve) => setTimeout(resolve, this.#options.limits.closeMs).unref())
    await Promise.race([this.#server.close(), patience])
  }

  /** Which limit is reached, if one is. */
  #fullFor(address: string, userId?: string): string | undefined {
    const { limits } = this.#options
    if (!this.#accepting) return 'draining'
    if (this.connections.size >= limits.connectionsMax) return 'instance'
    if (this.connections.countOfAddress(address) >= limits.connectionsPerAddressMax) return 'address'
    if (userId !== undefined && this.connections.ofUser(userId).size >= limits.connectionsPerUserMax)
      return 'user'
    return undefined
  }

  #turnAway(reason: string, reply: FastifyReply) {
    this.#refused.inc({ reason })
    const ownFault = reason === 'address' || reason === 'user'
    return reply
      .code(ownFault ? 429 : 503)
      .header('Retry-After', '1')
      .send({ error: `too many connections: ${reason}` })
  }

  #describeTo(metrics: Metrics): void {
    const { counters } = this
    metrics.gaugeOf('connections', 'Open connections', () => this.connections.size)
    metrics.gaugeOf('queued_bytes', 'Bytes that wait for clients', () => {
      let bytes = 0
      for (const connection of this.connections) bytes += connection.outbox.queuedBytes
      return bytes
    })
    metrics.countOf('deliveries_total', 'Messages handed to sockets', () => counters.deliveries)
    metrics.countOf('writes_total', 'Socket writes', () => counters.writes)
    metrics.countOf(
      'coalesced_total',
      'Messages that shared a write',
      () => counters.deliveries - counters.writes,
    )
    metrics.countOf('bytes_out_total', 'Bytes handed to sockets', () => counters.bytes)
    metrics.countOf('conflated_total', 'Messages replaced by a newer one', () => counters.conflated)
    metrics.countOf('dropped_total', 'Messages dropped for a full outbox', () => counters.dropped)
    metrics.countOf(
      'slow_consumers_total',
      'Connections closed as slow consumers',
      () => counters.slowConsumers,
    )
  }
}

function until(atMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())))
}
