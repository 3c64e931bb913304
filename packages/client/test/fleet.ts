import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as auctionPush from '@carillon/auction-push'
import { Bus } from '@carillon/bus'
import * as campusSocketio from '@carillon/campus-socketio'
import { auctionStream, campus, quoteStream } from '@carillon/events'
import * as imGateway from '@carillon/im-gateway'
import * as imMessages from '@carillon/im-messages'
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

/** The gateway, and the message service on an embedded database; stopped by `close`. */
export async function bootIm(nats: NatsServer, environment: Environment = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-client-im-'))
  const variables = { ...testEnvironment('IM_MESSAGES', nats), CARILLON_HOME: folder }
  const messages = imMessages.create(imMessages.readConfig(variables))
  const gateway = imGateway.create(imGateway.readConfig({ ...testEnvironment('IM', nats), ...environment }))
  const bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await Promise.all([messages.start(), gateway.start()])
  await eventually(async () => (await fetch(`http://127.0.0.1:${messages.adminPort}/readyz`)).ok, 60_000)
  await eventually(() => gateway.bus.connected && bus.connected)
  return {
    gateway,
    bus,
    async close() {
      await gateway.stop()
      await messages.stop()
      await bus.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The service, and a bus by which internal services register and reach devices. */
export async function bootCampus(nats: NatsServer, environment: Environment = {}) {
  const config = campusSocketio.readConfig({ ...testEnvironment('CAMPUS', nats), ...environment })
  const service = campusSocketio.create(config)
  await service.start()
  const bus = new Bus({ url: nats.url, name: 'internal service' })
  bus.start()
  await eventually(() => service.bus.connected && bus.connected)
  return {
    service,
    bus,
    async register(serialNo: string, deviceKey: string) {
      const answer = await bus.request(campus.device_put, {}, { serial_no: serialNo, device_key: deviceKey })
      if (answer.error_code !== 0) throw new Error(answer.error_reason)
    },
    async close() {
      await service.stop()
      await bus.stop()
    },
  }
}
