import type { ServiceInfo } from '../service-info.ts'

export const discovery: ServiceInfo = {
  name: 'endpoint-discovery',
  alias: 'discovery',
  admin: { variable: 'DISCOVERY_ADMIN_PORT', port: 9_080 },
  listen: { variable: 'DISCOVERY_LISTEN_PORT', port: 8_080, protocol: 'http' },
  examples: ({ baseUrl }) => [
    { label: 'ask', text: `curl '${baseUrl}/iapi/websocket/end_point?service=auction'` },
  ],
}
