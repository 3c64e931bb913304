import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Gateway, Refusal, Transport } from '@carillon/gateway'
import { clientAddress, listen, type TrustedProxies } from '@carillon/service'
import { Server as Engine, type Socket as EngineSocket } from 'engine.io'
import { Server as SocketIoServer } from 'socket.io'
import { Encoder } from 'socket.io-parser'
import { WebSocketServer } from 'ws'
import { type ConnectionContext, connectionOf, type Handler, SocketIoConnection } from './connection.ts'
import { findEngineSocket, handleUpgrade, releaseRequest } from './engine-socket.ts'
import { createPacketDecoder } from './packet-decoder.ts'
import { RateLimits } from './request-limits.ts'

export interface SocketIoOptions extends Omit<ConnectionContext, 'gateway'> {
  readonly host: string
  readonly port: number
  /** The variable that changes the port, for the error when it is taken. */
  readonly portVariable: string
  readonly trustedProxies: TrustedProxies
  readonly path: string
  /** Origins that browsers may connect from; undefined for any. */
  readonly corsOrigins: readonly string[] | undefined
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
  /** HTTP requests of one address, polling and upgrades alike. */
  readonly requestsPerSecondMax: number
}

/** Socket.IO for clients of both protocol revisions, over polling and WebSocket, within the gateway's limits. */
export class SocketIoTransport implements Transport {
  readonly gateway: Gateway<SocketIoConnection>
  readonly #options: SocketIoOptions
  readonly #context: ConnectionContext
  readonly #http: Server
  readonly #engine: Engine
  readonly #io: SocketIoServer
  readonly #requests: RateLimits
  readonly #addresses = new WeakMap<IncomingMessage, string>()
  #port: number | undefined

  constructor(
    gateway: Gateway<SocketIoConnection>,
    options: SocketIoOptions,
    open: (connection: SocketIoConnection) => Handler,
  ) {
    this.gateway = gateway
    this.#options = options
    this.#context = { ...options, gateway }
    this.#requests = new RateLimits({
      perSecondMax: options.requestsPerSecondMax,
      burstMax: options.requestsPerSecondMax * 2,
    })
    const { limits } = gateway
    this.#http = createServer(
      {
        headersTimeout: limits.unauthenticatedMs,
        requestTimeout: limits.unauthenticatedMs,
        connectionsCheckingInterval: Math.ceil(limits.unauthenticatedMs / 10),
      },
      (request, response) => this.#request(request, response),
    )
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#engine = new Engine({
      allowEIO3: true,
      transports: ['polling', 'websocket'],
      pingInterval: options.pingIntervalMs,
      pingTimeout: options.pingTimeoutMs,
      maxHttpBufferSize: limits.frameBytesHardMax,
      upgradeTimeout: limits.unauthenticatedMs,
      perMessageDeflate: false,
      httpCompression: false,
      // Of this project's version, which bounds the answers to a flood of pings.
      wsEngine: WebSocketServer,
      cors: { origin: this.#isAllowedOrigin(options.corsOrigins), credentials: true },
    } as ConstructorParameters<typeof Engine>[0])
    // Before Socket.IO's own listener: its client may be connected within the same call.
    this.#engine.on('connection', (socket: EngineSocket) => this.#connected(socket))
    this.#io = new SocketIoServer({
      serveClient: false,
      connectTimeout: limits.unauthenticatedMs,
      parser: { Encoder, Decoder: createPacketDecoder(limits.frameBytesMax) },
    })
    this.#io.bind(this.#engine)
    this.#io.on('connection', (socket) => {
      const connection = connectionOf(socket.conn)
      if (connection?.open && !connection.attached) connection.attach(socket, open(connection))
      else socket.disconnect(true)
    })
  }

  /** The port that is listened on, once started. */
  get port(): number {
    if (this.#port === undefined) throw new Error('the transport is not started')
    return this.#port
  }

  async start(): Promise<void> {
    const { host, port, portVariable } = this.#options
    this.#port = await listen(this.#http, {
      service: this.gateway.service,
      host,
      port,
      variable: portVariable,
    })
  }

  async stop(): Promise<void> {
    this.#engine.close()
    // A peer that the HTTP server does not let go of must not hold up the exit.
    const timeout = new Promise((resolve) => setTimeout(resolve, this.gateway.limits.closeMs).unref())
    const closed = new Promise((resolve) => this.#http.close(resolve))
    this.#http.closeAllConnections()
    await Promise.race([closed, timeout])
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const refuse = (status: number, error: string) => {
      if (status === 429 || status === 503) response.setHeader('Retry-After', '1')
      response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' })
      response.end(JSON.stringify({ error }))
    }
    if (this.#admit(request, refuse)) this.#engine.handleRequest(request as never, response)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until the WebSocket library takes over, nobody listens for a peer that goes away.
    const ignore = () => {}
    socket.on('error', ignore)
    const refuse = (status: number, error: string) => {
      const body = JSON.stringify({ error })
      socket.end(
        `HTTP/1.1 ${status} ${error}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      )
      socket.once('finish', () => socket.destroy())
    }
    if (!this.#admit(request, refuse)) return
    // CORS does not hold for WebSocket: browsers send the origin and leave the check to the server.
    const { origin } = request.headers
    const { corsOrigins } = this.#options
    if (origin !== undefined && corsOrigins && !corsOrigins.includes(origin)) return refuse(403, 'origin')
    handleUpgrade(this.#engine, request, socket, head)
    socket.off('error', ignore)
  }

  /** What every request must pass, before Engine.IO looks at it. */
  #admit(request: IncomingMessage, refuse: (status: number, error: string) => void): boolean {
    const url = parseUrl(request.url)
    const path = url?.pathname.replace(/\/$/, '')
    if (path !== this.#options.path) {
      refuse(404, 'not found')
      return false
    }
    const address = clientAddress(request, this.#options.trustedProxies)
    this.#addresses.set(request, address)
    if (!this.#requests.take(address, this.gateway.clock.monotonic())) {
      refuse(429, 'too many requests')
      return false
    }
    const sessionId = url?.searchParams.get('sid')
    if (sessionId) {
      const engine = findEngineSocket(this.#engine, sessionId)
      const connection = engine && connectionOf(engine)
      if (connection?.admitRequest() === false) {
        refuse(429, 'too many requests')
        return false
      }
      return true
    }
    const refusal = request.method === 'OPTIONS' ? undefined : this.gateway.refusal(address)
    if (refusal === undefined) return true
    this.gateway.refused(refusal)
    refuse(isOwnFault(refusal) ? 429 : 503, `too many connections: ${refusal}`)
    return false
  }

  #connected(engine: EngineSocket): void {
    const address = this.#addresses.get(engine.request) ?? engine.remoteAddress
    releaseRequest(engine)
    // Once more: others have come while the handshake was made.
    const refusal = this.gateway.refusal(address)
    if (refusal !== undefined) {
      this.gateway.refused(refusal)
      engine.close(true)
      return
    }
    const connection = new SocketIoConnection(engine, address, this.#context)
    this.gateway.opened(connection)
  }

  /** Reflected, never `*`: browsers refuse that together with credentials. */
  #isAllowedOrigin(corsOrigins: readonly string[] | undefined): true | string[] {
    return corsOrigins ? [...corsOrigins] : true
  }
}

const isOwnFault = (refusal: Refusal) => refusal === 'address' || refusal === 'user'

function parseUrl(url: string | undefined): URL | undefined {
  try {
    return new URL(url ?? '', 'http://localhost')
  } catch {
    return undefined
  }
}
