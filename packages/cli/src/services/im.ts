import type { ServiceInfo } from '../service-info.ts'
import { signClaims } from './json-web-token.ts'

const members = JSON.stringify({ convId: 'group:tea', members: ['3600', '3601'] })

export const im: ServiceInfo = {
  name: 'im-gateway',
  alias: 'im',
  admin: { variable: 'IM_ADMIN_PORT', port: 9_084 },
  listen: { variable: 'IM_LISTEN_PORT', port: 8_084, protocol: 'ws' },
  client: {
    credential: 'a JSON Web Token',
    exampleUser: '3600',
    options: [
      {
        flags: '--platform <platform>',
        description: 'ios, android, web, pc, mac, linux or windows',
        default: 'linux',
      },
      { flags: '--device <id>', description: 'the device: one connection for each', default: 'terminal' },
    ],
    createCredential(request) {
      const nowMs = Date.now()
      const exp = Math.floor(nowMs / 1_000) + request.ttlSeconds
      return signClaims(request, { sub: request.user, created: nowMs, exp })
    },
    path({ user, options }, token) {
      const parameters = {
        token,
        userId: user,
        networkUsed: 'ethernet',
        platform: options.platform ?? 'linux',
        deviceId: options.device ?? 'terminal',
        deviceModel: 'terminal',
        osVersion: '1',
        appVersion: '1',
        language: 'en',
      }
      return `/ws?${new URLSearchParams(parameters)}`
    },
    connect: async (target) => (await import('./im/client.ts')).runImClient(target),
  },
  demo: {
    description: 'a group that chats and gets a notice now and then',
    options: [
      {
        flags: '--members <ids>',
        description: 'who is in the group, separated by commas',
        default: '3600,3601',
      },
      { flags: '--rate <number>', description: 'messages per second', default: '1' },
    ],
    run: async (context) => (await import('./im/demo.ts')).runImDemo(context),
  },
  publish: {
    'im.notice': {
      usage: `<userIds> '{"title":"…","content":"text"}'`,
      run: async (bus, args) => (await import('./im/notice.ts')).publishNotice(bus, args),
    },
  },
  examples: () => [
    { label: 'members', text: `npm run carillon -- publish im.convPut '${members}'` },
    { label: 'send', text: 'send group:tea hello' },
    { label: 'publish', text: `npm run carillon -- publish im.notice 3600 '{"title":"Tea is ready"}'` },
  ],
}
