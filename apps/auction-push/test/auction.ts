import type { Overrides } from '@carillon/service'
import { loginToken, type NatsServer, WebSocketClient } from '@carillon/testkit'
import { create, readConfig } from '../src/server.ts'

export type AuctionPush = ReturnType<typeof create>

/** Boots the real service on free ports. */
export async function bootAuction(
  nats: NatsServer | string,
  environment: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<AuctionPush> {
  const service = create(
    readConfig({
      NATS_URL: typeof nats === 'string' ? nats : nats.url,
      AUCTION_LISTEN_PORT: '0',
      AUCTION_ADMIN_PORT: '0',
      LISTEN_HOST: '127.0.0.1',
      LOG_LEVEL: 'fatal',
      DRAIN_SECONDS: '0',
      DRAIN_DELAY_SECONDS: '0',
      ...environment,
    }),
    overrides,
  )
  await service.start()
  return service
}

export async function connectAuction(
  service: AuctionPush,
  userId: string | number = 3600,
): Promise<WebSocketClient> {
  return WebSocketClient.connect(`ws://127.0.0.1:${service.listener.port}/ws/${await loginToken(userId)}`)
}

export async function readMetrics(service: { readonly adminPort: number }): Promise<string> {
  return (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text()
}
