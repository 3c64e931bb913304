import { type Notice, signHmacSha256, signMd5, VoiceRoomClient } from '@carillon/client/voice'
import { credentialsFor } from './credentials.ts'
import { type TryProtocol, textField, watch } from './protocol.ts'

export const voice: TryProtocol = {
  userLabel: 'User id',
  exampleUser: '3600',
  fields: [
    textField('action', 'enter_room_report'),
    textField('user_id', '3600'),
    textField('channel_name', 'lobby'),
  ],
  actions: ['Send'],
  async open(user, watcher) {
    const credentials = credentialsFor('voice', user)
    const { sign, sign_secret: secret } = await credentials()
    const client = new VoiceRoomClient({
      endpoint: async () => (await credentials()).base_url,
      sid: async () => (await credentials()).sid,
      sign: sign === 'md5' ? signMd5 : signHmacSha256(secret),
      // As an app that has told the others in the room: the notice is reported.
      relay: (_notice: Notice) => {},
    })
    watch(client, watcher)
    return {
      actions: {
        Send: ({ action = '', user_id = '', channel_name = '' }) =>
          client.sendFields({ action, user_id, channel_name }),
      },
      close: () => client.close(),
    }
  },
}
