import { ImClient, type Message, type Notice } from '@carillon/client/im'
import { credentialsFor } from './credentials.ts'
import { type TryProtocol, textField, watch } from './protocol.ts'

/** Frames are protobuf, and shown as bytes; what they say follows as text. */
export const im: TryProtocol = {
  userLabel: 'User id',
  exampleUser: '3600',
  fields: [textField('convId', 'group:tea'), textField('text', 'Hello')],
  actions: ['Send message', 'Follow'],
  open(user, watcher) {
    const credentials = credentialsFor('im', user)
    const client = new ImClient({
      endpoint: async () => (await credentials()).base_url,
      token: async () => (await credentials()).token,
      userId: user,
      platform: 'web',
      deviceId: 'console',
      handleNotice: (notice) => watcher.note(printed(notice)),
    })
    client.on('message', (message) => watcher.note(printed(message)))
    watch(client, watcher)
    return {
      actions: {
        'Send message': async ({ convId = '', text = '' }) => {
          const content = new TextEncoder().encode(text)
          const [id] = await client.sendMessages({ convId, contentType: 1, content })
          watcher.note(`stored: ${id}`)
        },
        Follow: ({ convId = '' }) => client.follow(convId, '0'),
      },
      close: () => client.close(),
    }
  },
}

const decoder = new TextDecoder()

function printed(message: Message | Notice): string {
  const text = (value: unknown) => (value instanceof Uint8Array ? decoder.decode(value) : value)
  return JSON.stringify(message, (_name, value: unknown) => text(value))
}
