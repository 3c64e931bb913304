import { type FastifyInstance, fastify } from 'fastify'
import type { Metrics } from './metrics.ts'

export interface AdminOptions {
  readonly instanceId: string
  readonly metrics: Metrics
  /** Undefined when ready, else the reason why not. */
  readonly notReady: () => string | undefined
}

/**
 * The admin port: `/healthz` says that the process lives and depends on nothing else, `/readyz` whether to send
 * clients here, `/metrics` what Prometheus wants.
 */
export function createAdminServer({ instanceId, metrics, notReady }: AdminOptions): FastifyInstance {
  const server = fastify({ logger: false, forceCloseConnections: true })
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
