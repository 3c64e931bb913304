import { create, readConfig } from '@carillon/auction-push'
import { instancesByConstructor } from '../heap.ts'
import { profiling } from '../profile.ts'
import { serve } from '../remote.ts'
import { memoryOf, subscriptionsOf } from './listener.ts'

/** The real auction-push, with what the bench measures. */
const service = create(
  readConfig({
    ...process.env,
    AUCTION_LISTEN_PORT: '0',
    AUCTION_ADMIN_PORT: '0',
    LISTEN_HOST: '127.0.0.1',
    LOG_LEVEL: 'error',
    AUCTION_IDLE_TIMEOUT_MS: '3600000',
    // Connections subscribe to very many auctions at once.
    AUCTION_MAX_FRAMES_PER_SECOND: '100000',
  }),
)
await service.start()

serve({
  ...profiling(),
  ports: () => ({ port: service.listener.port }),
  ready: () => service.bus.connected,
  settle: () => service.bus.roundTrip(),
  connections: () => service.listener.connections.size,
  subscriptions: () => subscriptionsOf(service.listener),
  memory: () => memoryOf(service.listener),
  cpuUs: () => {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  counters: () => ({ ...service.listener.counters, onReleased: undefined }),
  heap: () => {
    global.gc?.()
    return instancesByConstructor()
  },
})
