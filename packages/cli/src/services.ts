/** What the tool and `npm start` know of each service. */
export interface ServiceInfo {
  readonly name: string
  /** What clients and discovery call it. */
  readonly alias: string
  readonly listenVariable: string
  readonly listenPort: number
  readonly adminVariable: string
  readonly adminPort: number
  readonly protocol: 'ws' | 'http'
  /** The path that a client connects to, with its credentials. */
  readonly clientPath?: (token: string) => string
  /** Claims of a user's token. */
  readonly claims?: (user: string, nowMs: number, ttlSeconds: number) => object
  /** A frame that a client might send first. */
  readonly hello?: string
  /** Something to try by copy and paste. */
  readonly example: string
}

const loginClaims = (user: string, nowMs: number, ttlSeconds: number) => ({
  sub: user,
  created: nowMs,
  exp: Math.floor(nowMs / 1_000) + ttlSeconds,
})

export const services: readonly ServiceInfo[] = [
  {
    name: 'endpoint-discovery',
    alias: 'discovery',
    listenVariable: 'DISCOVERY_LISTEN_PORT',
    listenPort: 8_080,
    adminVariable: 'DISCOVERY_ADMIN_PORT',
    adminPort: 9_080,
    protocol: 'http',
    example: "curl 'http://127.0.0.1:8080/iapi/websocket/end_point?service=auction'",
  },
  {
    name: 'auction-push',
    alias: 'auction',
    listenVariable: 'AUCTION_LISTEN_PORT',
    listenPort: 12_029,
    adminVariable: 'AUCTION_ADMIN_PORT',
    adminPort: 9_081,
    protocol: 'ws',
    clientPath: (token) => `/ws/${token}`,
    claims: loginClaims,
    hello: '{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}',
    example:
      'npm run carillon -- publish auction.bid 3607 ' +
      '\'{"amount":1320000,"nickName":"Ann","avatar":"","userId":3600,"auctionId":3607}\'',
  },
  {
    name: 'quote-interact',
    alias: 'quote',
    listenVariable: 'QUOTE_LISTEN_PORT',
    listenPort: 8_083,
    adminVariable: 'QUOTE_ADMIN_PORT',
    adminPort: 9_083,
    protocol: 'ws',
    clientPath: (token) => `/quote/do-not-look-back?authorization=bearer%20${token}`,
    claims: (user, nowMs, ttlSeconds) => ({
      user_id: user,
      player_id: user,
      merchant_code: 'demo',
      issued_at: new Date(nowMs).toISOString(),
      expires_at: new Date(nowMs + ttlSeconds * 1_000).toISOString(),
      language: 'en',
    }),
    hello: '{"commend":"order-slip-quote@chloe-market#40789105-e@219_33753655"}',
    example:
      'npm run carillon -- publish quote.chloe 40789105-e 219_33753655 ' +
      '\'[{"event_id":"40789105-e","market_id":"219_33753655","product_id":"1","price":"1.61","status":"1"}]\'',
  },
]

/** A service by its name or its alias. */
export function findService(text: string): ServiceInfo | undefined {
  return services.find(({ name, alias }) => name === text || alias === text)
}

export function portOf(
  service: ServiceInfo,
  environment: NodeJS.ProcessEnv,
  which: 'listen' | 'admin',
): number {
  const [variable, port] =
    which === 'listen'
      ? [service.listenVariable, service.listenPort]
      : [service.adminVariable, service.adminPort]
  return Number(environment[variable] || port)
}
