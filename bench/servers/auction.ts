import { create, readConfig } from '@carillon/auction-push'
import { instancesByConstructor } from '../heap.ts'
import { profiling } from '../profile.ts'
import { serve } from '../remote.ts'

/** The real auction-push, with an ear for the bench. */
const service = create(
  readConfig({
    ...process.env,
    AUCTION_LISTEN_PORT: '0',
    AUCTION_ADMIN_PORT: '0',
    LISTEN_HOST: '127.0.0.1',
    LOG_LEVEL: 'error',
    AUCTION_IDLE_TIMEOUT_MS: '3600000',
  }),
)
await service.start()

serve({
  ...profiling(),
  ports: () => ({ port: service.listener.port }),
  ready: () => service.bus.connected,
  settle: () => service.bus.roundTrip(),
  memory: () => {
    global.gc?.()
    return { rss: process.memoryUsage().rss, connections: service.listener.connections.size }
  },
  counters: () => ({ ...service.listener.counters }),
  heap: () => {
    global.gc?.()
    return instancesByConstructor()
  },
})
