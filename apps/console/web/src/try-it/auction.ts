import { AuctionClient, type AuctionEvent } from '@carillon/client/auction'
import { credentialsFor } from './credentials.ts'
import { choiceField, type TryProtocol, textField, watch } from './protocol.ts'

const events: readonly AuctionEvent[] = ['bid', 'delay_close_time', 'finish', 'enter']

export const auction: TryProtocol = {
  userLabel: 'User id',
  exampleUser: '3600',
  fields: [choiceField('event', events), textField('auctionId', '3607')],
  actions: ['Subscribe', 'Unsubscribe'],
  open(user, watcher) {
    const credentials = credentialsFor('auction', user)
    const client = new AuctionClient({
      endpoint: async () => (await credentials()).base_url,
      token: async () => (await credentials()).token,
    })
    watch(client, watcher)
    const event = (name: string | undefined) => events.find((each) => each === name) ?? 'bid'
    return {
      actions: {
        Subscribe: (values) =>
          client.subscribe(event(values.event), values.auctionId ?? '', { recover: true }),
        Unsubscribe: (values) => client.unsubscribe(event(values.event), values.auctionId ?? ''),
      },
      close: () => client.close(),
    }
  },
}
