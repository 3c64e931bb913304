import { once } from 'node:events'
import type { Server } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** Why a service cannot start, in words for whoever started it and can mend it. */
export class StartError extends Error {}

/** A port that cannot be listened on. */
export class PortError extends StartError {}

/** Connections that wait to be accepted: a fleet of clients may come back in one moment. */
const BACKLOG = 4_096

/**
 * Listens and answers the port, which is a free one where `port` is 0.
 * @throws {PortError} that names the service, the port and the variable to change.
 */
export async function listen(
  server: FastifyInstance | Server,
  where: {
    readonly service: string
    readonly host: string
    readonly port: number
    readonly variable: string
  },
): Promise<number> {
  const { service, host, port, variable } = where
  const options = { host, port, backlog: BACKLOG }
  try {
    if ('server' in server) await server.listen(options)
    else await once(server.listen(options), 'listening')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new PortError(
        `${service}: ${host} is no address of this machine; set LISTEN_HOST or ADMIN_HOST to another one`,
      )
    const reasons: Record<string, string> = { EADDRINUSE: 'is taken', EACCES: 'needs more rights' }
    const reason = reasons[code ?? '']
    if (reason === undefined) throw error
    throw new PortError(`${service}: port ${port} ${reason}; set ${variable} to another one`)
  }
  const address = ('server' in server ? server.server : server).address()
  return typeof address === 'object' && address !== null ? address.port : port
}
