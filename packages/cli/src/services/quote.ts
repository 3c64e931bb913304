import type { ServiceInfo } from '../service-info.ts'
import { signClaims } from './json-web-token.ts'

const [eventId, marketId] = ['40789105-e', '219_33753655']
const item = { event_id: eventId, market_id: marketId, product_id: '1', price: '1.61', status: '1' }

export const quote: ServiceInfo = {
  name: 'quote-interact',
  alias: 'quote',
  admin: { variable: 'QUOTE_ADMIN_PORT', port: 9_083 },
  listen: { variable: 'QUOTE_LISTEN_PORT', port: 8_083, protocol: 'ws' },
  client: {
    credential: 'a JSON Web Token',
    exampleUser: '3600',
    createCredential(request) {
      const nowMs = Date.now()
      return signClaims(request, {
        user_id: request.user,
        player_id: request.user,
        merchant_code: 'demo',
        issued_at: new Date(nowMs).toISOString(),
        expires_at: new Date(nowMs + request.ttlSeconds * 1_000).toISOString(),
        language: 'en',
      })
    },
    path: (_request, token) => `/quote/do-not-look-back?authorization=bearer%20${token}`,
    connect: async (target) => (await import('./quote/client.ts')).runQuoteClient(target),
  },
  demo: {
    description: 'quotes of some hundred markets: some are lively, some sleep, some lock and open again',
    aliases: ['quotes'],
    options: [
      { flags: '--markets <number>', description: 'how many markets', default: '300' },
      { flags: '--rate <number>', description: 'quotes per second', default: '200' },
    ],
    run: async (context) => (await import('./quote/demo.ts')).runQuoteDemo(context),
  },
  examples: () => [
    { label: 'send', text: `{"commend":"order-slip-quote@chloe-market#${eventId}@${marketId}"}` },
    {
      label: 'publish',
      text: `npm run carillon -- publish quote.chloe ${eventId} ${marketId} '${JSON.stringify([item])}'`,
    },
  ],
}
