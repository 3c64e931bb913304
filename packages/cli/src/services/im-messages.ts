import type { ServiceInfo } from '../service-info.ts'

export const imMessages: ServiceInfo = {
  name: 'im-messages',
  alias: 'im-messages',
  admin: { variable: 'IM_MESSAGES_ADMIN_PORT', port: 9_086 },
  examples: ({ adminUrl }) => [{ label: 'metrics', text: `curl ${adminUrl}/metrics` }],
}
