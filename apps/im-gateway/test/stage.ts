import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bus } from '@carillon/bus'
import { im } from '@carillon/events'
import * as messages from '@carillon/im-messages'
import type { Overrides } from '@carillon/service'
import { eventually, NatsServer, testEnvironment } from '@carillon/testkit'
import { jest } from '@jest/globals'
import { create, readConfig } from '../src/server.ts'

/** On a busy machine it takes long to make a database. */
jest.setTimeout(300_000)

export type ImGateway = ReturnType<typeof create>
export type MessageService = ReturnType<typeof messages.create>

/** A nats-server, gateways, and the real message service on an embedded database. */
export class Stage {
  readonly nats: NatsServer
  readonly bus: Bus
  readonly #folder: string
  readonly #gateways: ImGateway[] = []
  #messages: MessageService | undefined

  private constructor(nats: NatsServer, folder: string) {
    this.nats = nats
    this.#folder = folder
    this.bus = new Bus({ url: nats.url, name: 'test' })
  }

  static async open(): Promise<Stage> {
    const [nats, folder] = await Promise.all([
      NatsServer.start(),
      mkdtemp(join(tmpdir(), 'carillon-im-gateway-')),
    ])
    const stage = new Stage(nats, folder)
    stage.bus.start()
    await eventually(() => stage.bus.connected)
    return stage
  }

  async gateway(environment: Record<string, string> = {}, overrides: Overrides = {}): Promise<ImGateway> {
    const gateway = create(readConfig({ ...testEnvironment('IM', this.nats), ...environment }), overrides)
    this.#gateways.push(gateway)
    await gateway.start()
    await eventually(() => gateway.bus.connected)
    return gateway
  }

  /** Starts the message service; stopped and started again it has the same database. */
  async startMessages(overrides: Overrides = {}): Promise<MessageService> {
    const service = messages.create(
      messages.readConfig({ ...testEnvironment('IM_MESSAGES', this.nats), CARILLON_HOME: this.#folder }),
      overrides,
    )
    this.#messages = service
    await service.start()
    await eventually(async () => {
      const answer = await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)
      return answer.ok
    }, 200_000)
    await service.bus.roundTrip()
    return service
  }

  async stopMessages(): Promise<void> {
    await this.#messages?.stop()
  }

  async putConversation(convId: string, members: readonly string[]): Promise<void> {
    const bus = await this.connectedBus()
    const answer = await bus.request(im.convPut, {}, { convId, members: [...members] }, { timeoutMs: 12_000 })
    if (answer.error_code !== 0) throw new Error(answer.error_reason)
  }

  async sendNotice(userIds: readonly string[], title: string, options: object = {}): Promise<string> {
    const bus = await this.connectedBus()
    const answer = await bus.request(
      im.noticeSend,
      {},
      {
        userIds: [...userIds],
        notice: { convId: 'notice:system', title, contentType: 1, content: '', options },
      },
      { timeoutMs: 12_000 },
    )
    if (answer.noticeId === undefined) throw new Error(answer.error_reason)
    return answer.noticeId
  }

  /** After a restart of NATS, each connection comes back in its own time: this one maybe last of all. */
  async connectedBus(): Promise<Bus> {
    await eventually(() => this.bus.connected, 30_000)
    return this.bus
  }

  async close(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.stop()))
    await this.#messages?.stop()
    await this.bus.stop()
    await this.nats.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

export async function readMetrics({ adminPort }: { readonly adminPort: number }): Promise<string> {
  return (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
}
