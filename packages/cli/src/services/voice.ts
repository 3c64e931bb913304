import { DEVELOPMENT_SECRET, mintSid } from '@carillon/auth'
import { baseUrlOf, type ServiceInfo } from '../service-info.ts'

const secretOf = (env: NodeJS.ProcessEnv) => env.VOICE_SID_SECRET || DEVELOPMENT_SECRET

export const voice: ServiceInfo = {
  name: 'voice-room-ws',
  alias: 'voice',
  admin: { variable: 'VOICE_ADMIN_PORT', port: 9_082 },
  listen: { variable: 'VOICE_LISTEN_PORT', port: 9_999, protocol: 'ws' },
  client: {
    credential: 'a session id',
    exampleUser: '3600',
    createCredential: ({ user, ttlSeconds, env }) =>
      mintSid(secretOf(env), user, Math.floor(Date.now() / 1_000) + ttlSeconds),
    path: (_request, sid) => `/?sid=${encodeURIComponent(sid)}`,
    connect: async (target) => (await import('./voice/client.ts')).runVoiceClient(target),
  },
  demo: {
    description: 'a room in which a few members live: they talk, take seats, give, and come and go',
    aliases: ['room'],
    options: [
      { flags: '--room <name>', description: 'which room', default: 'demo' },
      { flags: '--members <number>', description: 'how many members', default: '4' },
    ],
    run: async (context) =>
      (await import('./voice/demo.ts')).runVoiceDemo(context, baseUrlOf(voice), secretOf(process.env)),
  },
  examples: ({ user }) => [
    {
      label: 'enter',
      text: `npm run carillon -- publish voice.room lobby enter_room '{"user_id":${user},"nickname":"Ann"}'`,
    },
    {
      label: 'publish',
      text: `npm run carillon -- publish voice.room lobby send_topic_msg '{"user_id":1,"nickname":"Ben","content":"hello"}'`,
    },
  ],
}
