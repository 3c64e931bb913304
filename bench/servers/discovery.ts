import { create, readConfig } from '@carillon/endpoint-discovery'
import { serve } from '../remote.ts'

const service = create(
  readConfig({
    ...process.env,
    DISCOVERY_LISTEN_PORT: '0',
    DISCOVERY_ADMIN_PORT: '0',
    LISTEN_HOST: '127.0.0.1',
    LOG_LEVEL: 'error',
  }),
)
await service.start()
serve({ ports: () => ({ port: service.port() }), ready: () => service.bus.connected })
