import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type FastifyInstance, type FastifyReply, type FastifyServerOptions, fastify } from 'fastify'
import { Deadline, type Timed, type TimingWheel } from './timing-wheel.ts'

export interface HttpServerOptions {
  readonly wheel: TimingWheel
  /** For the head of a request, and again for its body and the whole response to be taken. */
  readonly requestTimeoutMs?: number
  /** Sockets that are open at once, whatever they are used for; one more is closed as it comes. */
  readonly socketsMax: () => number
  /** Told of every socket that was closed for {@link socketsMax}. */
  readonly onSocketRefused?: () => void
  /** Whether a socket may carry several requests, at most five seconds apart. */
  readonly keepAlive: boolean
  /** The body of an error; it repeats nothing of the request, whose path may hold credentials. */
  readonly errorBody?: (status: number) => object
  readonly routerOptions?: FastifyServerOptions['routerOptions']
}

const REQUEST_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 5_000
/** No request of these servers has a body. */
const BODY_BYTES_MAX = 1_024

const EXCHANGE = Symbol('exchange')
type WatchedSocket = Socket & { [EXCHANGE]?: Exchange | undefined }

/**
 * An HTTP server none of whose sockets can be held open by its client: each has a deadline from the moment it is
 * accepted until it is closed or handed over, whatever is sent on it. Node's own limits do not cover a request
 * that is an upgrade, a response that is not read, or a handler that does not answer.
 */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const { wheel, requestTimeoutMs = REQUEST_TIMEOUT_MS, socketsMax, keepAlive } = options
  const errorBody = options.errorBody ?? ((status: number) => ({ error: STATUS_CODES[status] ?? 'error' }))
  const refuse = (reply: FastifyReply, status: number) => reply.code(status).send(errorBody(status))
  const refuseError = (error: unknown, reply: FastifyReply) => refuse(reply, statusOf(error))

  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    bodyLimit: BODY_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: true,
    forceCloseConnections: true,
    frameworkErrors: (error, _request, reply) => refuseError(error, reply),
    ...(options.routerOptions && { routerOptions: options.routerOptions }),
  })
  app.setErrorHandler((error, _request, reply) => refuseError(error, reply))
  app.setNotFoundHandler((_request, reply) => refuse(reply, 404))

  let sockets = 0
  const closed = () => {
    sockets -= 1
  }
  app.server.on('connection', (socket: WatchedSocket) => {
    sockets += 1
    // No once(), whose wrapper would stay for as long as the connection.
    socket.on('close', closed)
    if (sockets > socketsMax()) {
      options.onSocketRefused?.()
      socket.destroy()
      return
    }
    socket[EXCHANGE] = new Exchange(socket, wheel, requestTimeoutMs)
    socket.on('close', releaseSocket)
  })
  // Before the router, which may answer at once.
  app.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    response.shouldKeepAlive &&= keepAlive
    restart(request.socket)
    response.once('finish', onResponseFinished)
  })
  return app
}

/** The socket is no longer an HTTP one: whoever has it now watches over its time. */
export function handOverSocket(socket: Socket): void {
  socket.removeListener('close', releaseSocket)
  releaseSocket.call(socket)
}

/** The deadline of what a socket is doing now: waiting for a request, or carrying one. */
class Exchange implements Timed {
  readonly #socket: Socket
  readonly #wheel: TimingWheel
  readonly #timeoutMs: number
  readonly #deadline = new Deadline(this)

  constructor(socket: Socket, wheel: TimingWheel, timeoutMs: number) {
    this.#socket = socket
    this.#wheel = wheel
    this.#timeoutMs = timeoutMs
    this.restart()
  }

  restart(): void {
    this.#wheel.set(this.#deadline, this.#timeoutMs)
  }

  end(): void {
    this.#wheel.clear(this.#deadline)
  }

  due(): void {
    this.#socket.destroy()
  }
}

function restart(socket: WatchedSocket): void {
  socket[EXCHANGE]?.restart()
}

function onResponseFinished(this: ServerResponse): void {
  restart(this.req.socket)
}

function releaseSocket(this: WatchedSocket): void {
  this[EXCHANGE]?.end()
  // Not deleted: an object that has lost a property is kept as a hash table, which is a kilobyte more.
  this[EXCHANGE] = undefined
}

function statusOf(error: unknown): number {
  const { statusCode } = error as { statusCode?: unknown }
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 600 ? statusCode : 500
}
