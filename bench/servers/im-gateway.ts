import { create, readConfig } from '@carillon/im-gateway'
import { instancesByConstructor } from '../heap.ts'
import { profiling } from '../profile.ts'
import { serve } from '../remote.ts'
import { memoryOf } from './listener.ts'

/** The real im-gateway, with what the bench measures. */
const service = create(
  readConfig({
    ...process.env,
    IM_LISTEN_PORT: '0',
    IM_ADMIN_PORT: '0',
    LISTEN_HOST: '127.0.0.1',
    LOG_LEVEL: 'error',
    IM_IDLE_TIMEOUT_MS: '3600000',
    IM_PING_INTERVAL_MS: '3599000',
  }),
)
await service.start()

serve({
  ...profiling(),
  ports: () => ({ port: service.listener.port }),
  ready: () => service.bus.connected,
  /** Connections that have been told that they are connected. */
  online() {
    let count = 0
    for (const { clients } of service.users)
      for (const { phase } of clients) if (phase === 'online') count += 1
    return count
  },
  memory: () => memoryOf(service.listener),
  heap: () => {
    global.gc?.()
    return instancesByConstructor()
  },
})
