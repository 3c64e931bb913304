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
    example:
      'npm run carillon -- publish auction.bid 3607 ' +
      '\'{"amount":1320000,"nickName":"Ann","avatar":"","userId":3600,"auctionId":3607}\'',
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
