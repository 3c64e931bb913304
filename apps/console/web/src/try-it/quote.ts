import { type Market, QuoteClient } from '@carillon/client/quote'
import { credentialsFor } from './credentials.ts'
import { choiceField, type TryProtocol, textField, type Values, watch } from './protocol.ts'

export const quote: TryProtocol = {
  userLabel: 'User id',
  exampleUser: '3600',
  fields: [
    choiceField('kind', ['chloe', 'fancy']),
    textField('eventId', '30910'),
    textField('marketId', '1.1'),
  ],
  actions: ['Follow', 'Unfollow', 'Pause', 'Resume'],
  open(user, watcher) {
    const credentials = credentialsFor('quote', user)
    const client = new QuoteClient({
      endpoint: async () => (await credentials()).base_url,
      token: async () => (await credentials()).token,
    })
    watch(client, watcher)
    return {
      actions: {
        Follow: (values) => client.follow(marketOf(values)),
        Unfollow: (values) => client.unfollow(marketOf(values)),
        Pause: () => client.pause(),
        Resume: () => client.resume(),
      },
      close: () => client.close(),
    }
  },
}

const marketOf = ({ kind, eventId = '', marketId = '' }: Values): Market => ({
  kind: kind === 'fancy' ? 'fancy' : 'chloe',
  eventId,
  marketId,
})
