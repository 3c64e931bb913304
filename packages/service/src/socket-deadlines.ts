import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Deadline, type Timed, type TimingWheel } from './timing-wheel.ts'

export interface SocketDeadlinesOptions {
  readonly wheel: TimingWheel
  /** For the head of a request, and again for its body and the whole response to be taken. */
  readonly requestTimeoutMs?: number
  /** Sockets that are open at once, whatever they are used for; one more is closed as it comes. */
  readonly socketsMax: () => number
  /** Told of every socket that was closed for {@link socketsMax}. */
  readonly onSocketRefused?: () => void
  /** Whether a socket may carry several requests. */
  readonly keepAlive: boolean
}

const REQUEST_TIMEOUT_MS = 10_000

const EXCHANGE = Symbol('exchange')
type WatchedSocket = Socket & { [EXCHANGE]?: Exchange | undefined }

/**
 * Sees to it that none of an HTTP server's sockets can be held open by its client: each has a deadline from the moment
 * it is accepted until it is closed or handed over, whatever is sent on it. Node's own limits do not cover a request
 * that is an upgrade, a response that is not read, or a handler that does not answer.
 */
export function watchSockets(server: Server, options: SocketDeadlinesOptions): void {
  const { wheel, requestTimeoutMs = REQUEST_TIMEOUT_MS, socketsMax, onSocketRefused, keepAlive } = options
  // Read by Node at each connection: the limit may be changed meanwhile.
  Object.defineProperty(server, 'maxConnections', { get: socketsMax })
  if (onSocketRefused) server.on('drop', onSocketRefused)
  server.on('connection', (socket: WatchedSocket) => {
    socket[EXCHANGE] = new Exchange(socket, wheel, requestTimeoutMs)
    // No once(), whose wrapper would stay for as long as the connection.
    socket.on('close', releaseSocket)
  })
  // Before the router, which may answer at once.
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    response.shouldKeepAlive &&= keepAlive
    restart(request.socket)
    response.once('finish', onResponseFinished)
  })
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
