import type { NatsServer } from './nats-server.ts'

/** An environment in which a service listens on free ports, is quiet, and stops at once. */
export function testEnvironment(prefix: string, nats: Pick<NatsServer, 'url'>): Record<string, string> {
  return {
    NATS_URL: nats.url,
    [`${prefix}_LISTEN_PORT`]: '0',
    [`${prefix}_ADMIN_PORT`]: '0',
    LISTEN_HOST: '127.0.0.1',
    LOG_LEVEL: 'fatal',
    DRAIN_SECONDS: '0',
    DRAIN_DELAY_SECONDS: '0',
  }
}
