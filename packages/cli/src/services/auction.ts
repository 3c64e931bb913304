import type { ServiceInfo } from '../service-info.ts'
import { signClaims } from './json-web-token.ts'

const bid = '{"amount":1320000,"nickName":"Ann","avatar":"","userId":3600,"auctionId":3607}'

export const auction: ServiceInfo = {
  name: 'auction-push',
  alias: 'auction',
  admin: { variable: 'AUCTION_ADMIN_PORT', port: 9_081 },
  listen: { variable: 'AUCTION_LISTEN_PORT', port: 12_029, protocol: 'ws' },
  client: {
    credential: 'a JSON Web Token',
    exampleUser: '3600',
    createCredential(request) {
      const nowMs = Date.now()
      const exp = Math.floor(nowMs / 1_000) + request.ttlSeconds
      return signClaims(request, { sub: request.user, created: nowMs, exp })
    },
    path: (_request, token) => `/ws/${token}`,
    connect: async (target) => (await import('./auction/client.ts')).runAuctionClient(target),
  },
  examples: () => [
    {
      label: 'send',
      text: '{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}',
    },
    { label: 'publish', text: `npm run carillon -- publish auction.bid 3607 '${bid}'` },
  ],
}
