import type { FastifyInstance } from 'fastify'
import { createHttpServer } from './http-server.ts'
import type { Metrics } from './metrics.ts'
import type { TimingWheel } from './timing-wheel.ts'

export interface AdminOptions {
  readonly instanceId: string
  readonly metrics: Metrics
  readonly wheel: TimingWheel
  /** Undefined when ready, else the reason why not. */
  readonly notReady: () => string | undefined
}

/** Probes, a scraper and people: more sockets than this are no use of it. */
const SOCKETS_MAX = 256

/**
 * The admin port: `/healthz` says that the process lives and depends on nothing else, `/readyz` whether to send
 * clients here, `/metrics` what Prometheus wants.
 */
export function createAdminServer({ instanceId, metrics, wheel, notReady }: AdminOptions): FastifyInstance {
  const server = createHttpServer({ wheel, socketsMax: () => SOCKETS_MAX, keepAlive: true })
  server.get('/healthz', async () => ({ status: 'ok' }))
  server.get('/readyz', async (_request, reply) => {
    const reason = notReady()
    if (reason === undefined) return { status: 'ready', instance_id: instanceId }
    return reply.code(503).send({ status: 'not ready', reason, instance_id: instanceId })
  })
  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
  return server
}
