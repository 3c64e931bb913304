import * as auctionPush from '@carillon/auction-push'
import { auctionStream, quoteStream } from '@carillon/events'
import * as quoteInteract from '@carillon/quote-interact'
import type { Overrides } from '@carillon/service'
import { eventually, NatsLink, type NatsServer, testEnvironment } from '@carillon/testkit'
import * as voiceRoomWs from '@carillon/voice-room-ws'
import { WebSocket as Ws } from 'ws'
import type { WebSocketConstructor } from '../src/index.ts'

/** The WebSocket of Node before 22. */
export const WebSocket = Ws as unknown as WebSocketConstructor

/** Comes back quickly: tests need not wait for what protects servers. */
export const reconnect = { baseMs: 20, maxMs: 100 }

type Environment = Record<string, string>

/** Boots the real service on free ports. */
export async function bootAuction(
  nats: NatsServer,
  environment: Environment = {},
  overrides: Overrides = {},
) {
  const config = auctionPush.readConfig({ ...testEnvironment('AUCTION', nats), ...environment })
  const service = auctionPush.create(config, overrides)
  await service.start()
  await eventually(() => service.bus.connected)
  await service.bus.stream(auctionStream).ensure()
  return service
}

export async function bootQuote(nats: NatsServer, environment: Environment = {}, overrides: Overrides = {}) {
  const config = quoteInteract.readConfig({ ...testEnvironment('QUOTE', nats), ...environment })
  const service = quoteInteract.create(config, overrides)
  await service.start()
  await eventually(() => service.bus.connected)
  await service.bus.stream(quoteStream).ensure()
  return service
}

export const urlOf = (port: number) => `ws://127.0.0.1:${port}`

/** A network between clients and a service that can be cut or fall silent. */
export async function openNetwork(port: number) {
  const link = await NatsLink.open(port)
  return Object.assign(link, { webSocketUrl: urlOf(Number(new URL(link.url).port)) })
}

export async function bootVoice(nats: NatsServer, environment: Environment = {}) {
  const config = voiceRoomWs.readConfig({ ...testEnvironment('VOICE', nats), ...environment })
  const service = voiceRoomWs.create(config)
  await service.start()
  await eventually(() => service.bus.connected && service.leases.healthy)
  return service
}
