import { STATUS_CODES } from 'node:http'
import { type FastifyInstance, type FastifyReply, type FastifyServerOptions, fastify } from 'fastify'
import { type SocketDeadlinesOptions, watchSockets } from './socket-deadlines.ts'

export interface HttpServerOptions extends SocketDeadlinesOptions {
  /** The body of an error; it repeats nothing of the request, whose path may hold credentials. */
  readonly errorBody?: (status: number) => object
  /** Errors that say more than a status; undefined for all others. */
  readonly describeError?: (error: unknown) => { readonly status: number; readonly body: object } | undefined
  readonly routerOptions?: FastifyServerOptions['routerOptions']
}

/** Between two requests of one socket. */
const KEEP_ALIVE_MS = 5_000
/** Requests have no body, but where a route says otherwise. */
const BODY_BYTES_MAX = 1_024

/** An HTTP server none of whose sockets can be held open by its client, and whose errors tell nothing. */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const errorBody = options.errorBody ?? ((status: number) => ({ error: STATUS_CODES[status] ?? 'error' }))
  const refuse = (reply: FastifyReply, status: number) => reply.code(status).send(errorBody(status))
  const refuseError = (error: unknown, reply: FastifyReply) => {
    const described = options.describeError?.(error)
    if (described === undefined) return refuse(reply, statusOf(error))
    return reply.code(described.status).send(described.body)
  }

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

  watchSockets(app.server, options)
  return app
}

function statusOf(error: unknown): number {
  const { statusCode } = error as { statusCode?: unknown }
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 600 ? statusCode : 500
}
