import { create, readConfig } from '@carillon/quote-interact'
import { instancesByConstructor } from '../heap.ts'
import { serve } from '../remote.ts'
import { memoryOf, subscriptionsOf } from './listener.ts'

/** The real quote-interact, with what the bench measures. */
const service = create(
  readConfig({
    ...process.env,
    QUOTE_LISTEN_PORT: '0',
    QUOTE_ADMIN_PORT: '0',
    LISTEN_HOST: '127.0.0.1',
    LOG_LEVEL: 'error',
    QUOTE_ALIVE_INTERVAL_MS: '3600000',
  }),
)
await service.start()

let queuedBytesMax = 0
setInterval(() => {
  for (const { outbox } of service.listener.connections)
    queuedBytesMax = Math.max(queuedBytesMax, outbox.queuedBytes)
}, 200)

serve({
  ports: () => ({ port: service.listener.port, admin: service.adminPort }),
  ready: () => service.bus.connected,
  settle: () => service.bus.roundTrip(),
  subscriptions: () => subscriptionsOf(service.listener),
  memory: () => memoryOf(service.listener),
  heap: instancesByConstructor,
  framesIn: async () =>
    Number(
      /carillon_frames_in_total\{[^}]*\} (\d+)/.exec(await service.metrics.registry.metrics())?.[1] ?? 0,
    ),
  counters: () => ({ ...service.listener.counters, onReleased: undefined, queuedBytesMax }),
})
