import type { Overrides } from '@carillon/service'
import { eventually, loginToken, type NatsServer, testEnvironment, WebSocketClient } from '@carillon/testkit'
import { create, readConfig } from '../src/server.ts'

export type AuctionPush = ReturnType<typeof create>

/** Boots the real service on free ports. */
export async function bootAuction(
  nats: NatsServer,
  environment: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<AuctionPush> {
  const service = create(
    readConfig({
      ...testEnvironment('AUCTION', nats),
      ...environment,
    }),
    overrides,
  )
  await service.start()
  if (nats.running) await eventually(() => service.bus.connected)
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
