import type { ServiceInfo } from '../service-info.ts'

export const console: ServiceInfo = {
  name: 'console',
  alias: 'console',
  admin: { variable: 'CONSOLE_ADMIN_PORT', port: 9_090 },
  listen: { variable: 'CONSOLE_LISTEN_PORT', port: 8_090, protocol: 'http' },
  examples: ({ baseUrl }) => [{ label: 'open', text: baseUrl }],
}
