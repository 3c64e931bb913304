import type { ProtocolError } from '@carillon/codec'
import type { Counters } from '@carillon/fanout'
import {
  clientAddress,
  createHttpServer,
  handOverSocket,
  listen,
  type TrustedProxies,
} from '@carillon/service'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { Identity } from '../client-connection.ts'
import type { DirectWriter } from '../direct-writer.ts'
import type { Gateway, Refusal } from '../gateway.ts'
import type { Registry } from '../registry.ts'
import type { Transport } from '../transport.ts'
import { Connection } from './connection.ts'
import type { ConnectionContext, Handler } from './connection-context.ts'
import { authenticateAfterUpgrade, type LateAuthentication } from './late-authentication.ts'
import { endRefusedUpgrades, releaseUpgrade } from './upgrade.ts'

/** Who it is, or why nobody is let in: an HTTP status before the upgrade, and a reason for the metric. */
export type Authentication =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly status: number; readonly failure: string }

/** The HTTP request that asks for the upgrade. */
export type UpgradeRequest = FastifyRequest

export type Authenticate = (request: UpgradeRequest) => Authentication | Promise<Authentication>

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  /** The variable that changes the port, for the error when it is taken. */
  readonly portVariable: string
  readonly trustedProxies: TrustedProxies
  readonly errorFrame: (error: ProtocolError) => Uint8Array
  readonly idleTimeoutMs: () => number
  /** Default: no pings. */
  readonly pingIntervalMs?: number
  /** Default: everything is written through the sockets' streams. */
  readonly directWriter?: DirectWriter
}

/** Longer than any request line that Node accepts: a long token is refused as a token, not as a path. */
const PATH_PARAMETER_MAX = 65_536

/** The WebSocket transport: accepts connections within the gateway's limits. */
export class Listener implements Transport {
  readonly #options: ListenerOptions
  readonly #gateway: Gateway<Connection>
  readonly #server: FastifyInstance
  readonly #context: ConnectionContext
  #port: number | undefined

  constructor(gateway: Gateway<Connection>, options: ListenerOptions) {
    this.#gateway = gateway
    this.#options = options
    const { idleTimeoutMs, errorFrame, pingIntervalMs = 0, directWriter } = options
    this.#context = { gateway, idleTimeoutMs, errorFrame, pingIntervalMs, directWriter }
    const { limits, log, wheel } = gateway
    this.#server = createHttpServer({
      wheel,
      requestTimeoutMs: limits.unauthenticatedMs,
      // More than there may be connections, so that one too many is told why; and more than there are, where an
      // operator has lowered that limit.
      socketsMax: () => Math.max(limits.connectionsMax, this.connections.size) + limits.socketsMargin,
      onSocketRefused: () => gateway.refused('sockets'),
      keepAlive: false,
      routerOptions: { maxParamLength: PATH_PARAMETER_MAX },
    })
    this.#server.register(websocket, {
      options: {
        maxPayload: limits.frameBytesHardMax,
        maxFragments: limits.fragmentsMax,
        maxBufferedChunks: limits.piecesMax,
        perMessageDeflate: false,
        clientTracking: false,
        // Pings count as frames and pongs as queued bytes: our limits close with a code that says so.
        ...{ maxPendingAutoPongs: 0 },
      },
      // The gateway closes connections when it drains: the plugin's own way waits for every peer.
      preClose: (done) => done(),
      errorHandler: (error, socket) => {
        log.error({ err: error }, 'a connection could not be opened')
        socket.terminate()
      },
    })
  }

  /** The open connections. */
  get connections(): Registry<Connection> {
    return this.#gateway.connections
  }

  get counters(): Counters {
    return this.#gateway.counters
  }

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
    const gateway = this.#gateway
    const accepted = new WeakMap<FastifyRequest, { readonly identity: Identity; readonly address: string }>()
    this.#route(paths, {
      admit: async (request, reply) => {
        const address = this.#addressOf(request)
        const refusal = gateway.refusal(address)
        if (refusal) return this.#refuse(refusal, reply)
        const authentication = await authenticate(request)
        if (!authentication.ok) {
          gateway.authenticationFailed(authentication.failure)
          if (authentication.status === 503) reply.header('Retry-After', '1')
          return reply.code(authentication.status).send({ error: authentication.failure })
        }
        // Once more: others have come while the credentials were looked at.
        const refusalNow = gateway.refusal(address, authentication.identity.userId)
        if (refusalNow) return this.#refuse(refusalNow, reply)
        accepted.set(request, { identity: authentication.identity, address })
      },
      upgraded: (socket, request) => {
        const { identity, address } = accepted.get(request) as NonNullable<ReturnType<typeof accepted.get>>
        const connection = new Connection(socket, identity, address, this.#context)
        gateway.opened(connection)
        connection.open(open(connection, identity))
      },
    })
  }

  /**
   * Accepts connections on these paths, and checks credentials after the upgrade: for protocols that say by a close
   * code why a client is refused. Nothing is read from a client before it has authenticated.
   */
  acceptThenAuthenticate<I extends Identity>(
    paths: readonly string[],
    late: LateAuthentication<I>,
    open: (connection: Connection, identity: I) => Handler,
  ): void {
    const gateway = this.#gateway
    const unauthenticated = new Set<Connection>()
    this.#route(paths, {
      admit: async (request, reply) => {
        const full = unauthenticated.size >= gateway.limits.unauthenticatedMax
        const refusal = gateway.refusal(this.#addressOf(request)) ?? (full ? 'unauthenticated' : undefined)
        if (refusal) return this.#refuse(refusal, reply)
      },
      upgraded: (socket, request) => {
        const connection = new Connection(socket, undefined, this.#addressOf(request), this.#context)
        gateway.opened(connection)
        void authenticateAfterUpgrade(gateway, connection, request, late, unauthenticated, open)
      },
    })
  }

  #route(
    paths: readonly string[],
    {
      admit,
      upgraded,
    }: {
      readonly admit: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
      readonly upgraded: (socket: WebSocket, request: FastifyRequest) => void
    },
  ): void {
    this.#server.register(async (scope) => {
      for (const url of paths) {
        scope.route({
          method: 'GET',
          url,
          preValidation: async (request: FastifyRequest, reply: FastifyReply) => {
            if (!request.ws)
              return reply.code(426).header('Upgrade', 'websocket').send({ error: 'a WebSocket endpoint' })
            return admit(request, reply)
          },
          handler: () => {},
          wsHandler: (socket: WebSocket, request: FastifyRequest) => {
            handOverSocket(request.raw.socket)
            releaseUpgrade(socket, request)
            upgraded(socket, request)
          },
        })
      }
    })
  }

  async start(): Promise<void> {
    // The plugin's own listener must come first.
    await this.#server.ready()
    endRefusedUpgrades(this.#server)
    const { host, port, portVariable } = this.#options
    this.#port = await listen(this.#server, {
      service: this.#gateway.service,
      host,
      port,
      variable: portVariable,
    })
  }

  async stop(): Promise<void> {
    for (const connection of this.connections) connection.terminate()
    // A peer that the HTTP server does not let go of must not hold up the exit.
    const timeout = new Promise((resolve) => setTimeout(resolve, this.#gateway.limits.closeMs).unref())
    await Promise.race([this.#server.close(), timeout])
  }

  #addressOf(request: FastifyRequest): string {
    return clientAddress(request.raw, this.#options.trustedProxies)
  }

  #refuse(reason: Refusal, reply: FastifyReply) {
    this.#gateway.refused(reason)
    const clientFault = reason === 'address' || reason === 'user'
    return reply
      .code(clientFault ? 429 : 503)
      .header('Retry-After', '1')
      .send({ error: `too many connections: ${reason}` })
  }
}
