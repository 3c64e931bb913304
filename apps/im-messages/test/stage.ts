import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Bus } from '@carillon/bus'
import { decodeProto, im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { ManualClock, NatsServer, PostgresServer, postgresBin, testEnvironment } from '@carillon/testkit'
import { PGlite } from '@electric-sql/pglite'
import { jest } from '@jest/globals'
import { create, readConfig } from '../src/server.ts'
import { ready } from './ready.ts'

/** On a busy machine it takes long to make a database. */
jest.setTimeout(300_000)

export type Engine = 'PGlite' | 'PostgreSQL'
/** What can run here. Where PostgreSQL is not installed, tests run on PGlite alone. */
export const engines: readonly Engine[] = postgresBin() === undefined ? ['PGlite'] : ['PGlite', 'PostgreSQL']

export type MessageService = ReturnType<typeof create>

/** A stored or pushed message with its sub-messages, as a client sees it. */
export type Message = proto.MsgData

/**
 * PGlite takes seconds to make a database and a fraction of one to open it: an empty one is made once and copied, as
 * the service would make it. Several test processes may be here at once.
 */
async function copyEmptyDatabase(folder: string): Promise<void> {
  const cache = new URL('../node_modules/.cache', import.meta.url).pathname
  const { version } = JSON.parse(await readFile(join(pgliteFolder(), 'package.json'), 'utf8'))
  const template = join(cache, `pglite-${version}`)
  if (!existsSync(template)) {
    await mkdir(cache, { recursive: true })
    const own = await mkdtemp(join(cache, 'making-'))
    await (await PGlite.create(join(own, 'data'))).close()
    await rename(join(own, 'data'), template).catch(() => {})
    await rm(own, { recursive: true, force: true })
  }
  await cp(template, join(folder, 'im-messages', 'data'), { recursive: true })
}

const pgliteFolder = () => join(dirname(createRequire(import.meta.url).resolve('@electric-sql/pglite')), '..')

/** An answer always comes within 10 s. */
export const AS_GATEWAYS_WAIT = { timeoutMs: 12_000 }

/** A nats-server, a database, message services, and the gateways' side of the contract. */
export class Stage {
  readonly nats: NatsServer
  readonly postgres: PostgresServer | undefined
  readonly folder: string
  readonly bus: Bus
  readonly clock = new ManualClock()
  readonly #services: MessageService[] = []

  private constructor(nats: NatsServer, postgres: PostgresServer | undefined, folder: string) {
    this.nats = nats
    this.postgres = postgres
    this.folder = folder
    this.bus = new Bus({ url: nats.url, name: 'test' })
  }

  static async open(engine: Engine): Promise<Stage> {
    const [nats, postgres, folder] = await Promise.all([
      NatsServer.start(),
      engine === 'PostgreSQL' ? PostgresServer.start() : undefined,
      mkdtemp(join(tmpdir(), 'carillon-im-')),
    ])
    if (postgres === undefined) await copyEmptyDatabase(folder)
    const stage = new Stage(nats, postgres, folder)
    const connected = new Promise<void>((resolve) => {
      stage.bus.onChange((up) => up && resolve())
    })
    stage.bus.start()
    await connected
    return stage
  }

  environment(extra: Record<string, string> = {}): Record<string, string> {
    return {
      ...testEnvironment('IM_MESSAGES', this.nats),
      CARILLON_HOME: this.folder,
      ...(this.postgres && { IM_DATABASE_URL: this.postgres.url }),
      ...extra,
    }
  }

  /** A message service that is ready. */
  async service(extra: Record<string, string> = {}): Promise<MessageService> {
    const service = create(readConfig(this.environment(extra)), { clock: this.clock })
    this.#services.push(service)
    await service.start()
    await ready(service)
    return service
  }

  async close(): Promise<void> {
    for (const service of this.#services) await service.stop()
    await this.bus.stop()
    await this.postgres?.stop()
    await this.nats.stop()
    await rm(this.folder, { recursive: true, force: true })
  }

  user(userId: string, deviceId = 'd1', platform = 'ios'): TestUser {
    return new TestUser(this.bus, { userId, deviceId, platform })
  }

  putGroup(convId: string, members: readonly string[]) {
    return this.bus.request(im.convPut, {}, { convId, members: [...members] }, AS_GATEWAYS_WAIT)
  }

  /** Messages pushed on a conversation's subject, in the order of their coming. */
  async conversation(convId: string): Promise<Pushed> {
    const pushed = new Pushed()
    this.bus.subscribe(im.pushConv, { convId }, (delivery) =>
      pushed.add(delivery.payload, delivery.header('Carillon-Seq')),
    )
    await this.bus.roundTrip()
    return pushed
  }

  /** What is pushed to a user. */
  async inbox(userId: string): Promise<Pushed> {
    const pushed = new Pushed()
    this.bus.subscribe(im.pushUser, { userId }, (delivery) => pushed.add(delivery.payload, undefined))
    await this.bus.roundTrip()
    return pushed
  }
}

/** Collected pushes. */
export class Pushed {
  readonly messages: Message[] = []
  readonly notices: proto.NoticeData[] = []
  readonly seqHeaders: (string | undefined)[] = []

  add(payload: Uint8Array, seqHeader: string | undefined): void {
    const push = decodeProto(proto.PushBody, payload)
    if (push === undefined) throw new Error('not a PushBody')
    this.seqHeaders.push(seqHeader)
    if (push.event === proto.PushEvent.PushMsgDataList) {
      this.messages.push(...((decodeProto(proto.MsgDataList, push.data)?.msgDataList ?? []) as Message[]))
    } else {
      this.notices.push(
        ...((decodeProto(proto.NoticeDataList, push.data)?.noticeDataList ?? []) as proto.NoticeData[]),
      )
    }
  }

  get seqs(): string[] {
    return this.messages.map(({ seq }) => seq)
  }
}

/** A coded answer. */
export class Coded extends Error {
  readonly code: string
  constructor(code: proto.ResponseBody.Code, reason: string) {
    super(reason)
    this.code = proto.ResponseBody.Code[code]
  }
}

type ClientChannel =
  | typeof im.sendMsgList
  | typeof im.syncConvSeq
  | typeof im.syncMsgList
  | typeof im.ackNotice
  | typeof im.getMsgById

let sent = 0

/** A user as a gateway passes their requests on. */
export class TestUser {
  readonly #bus: Bus
  readonly caller: { readonly userId: string; readonly deviceId: string; readonly platform: string }

  constructor(bus: Bus, caller: { userId: string; deviceId: string; platform: string }) {
    this.#bus = bus
    this.caller = caller
  }

  /** The response's data. @throws {Coded} */
  async ask(channel: ClientChannel, data: Uint8Array): Promise<Uint8Array> {
    const request = proto.rpc.ClientRequest.encode({ caller: this.caller, data }).finish()
    const reply = await this.#bus.request(channel as typeof im.sendMsgList, {}, request, {
      timeoutMs: 12_000,
    })
    const response = proto.rpc.ClientResponse.decode(reply)
    if (response.code === proto.ResponseBody.Code.Success) return response.data
    const { commonResp } = proto.ErrorResp.decode(response.data)
    if (commonResp?.code !== response.code) throw new Error('the codes differ')
    throw new Coded(response.code, commonResp.msg ?? '')
  }

  message(convId: string, text: string, extra: proto.MsgData.$Properties = {}): proto.MsgData.$Properties {
    sent += 1
    return {
      clientMsgId: `${this.caller.userId}-${sent}`,
      clientTime: '1',
      convId,
      contentType: 1,
      content: Buffer.from(text),
      options: { storageForServer: true },
      ...extra,
    }
  }

  async send(convId: string, text: string, extra: proto.MsgData.$Properties = {}): Promise<string> {
    const message = this.message(convId, text, extra)
    await this.sendAll([message])
    return message.clientMsgId as string
  }

  async sendAll(msgDataList: proto.MsgData.$Properties[], deliverAfter?: number): Promise<void> {
    const request = { msgDataList, ...(deliverAfter !== undefined && { deliverAfter }) }
    await this.ask(im.sendMsgList, proto.SendMsgListReq.encode(request).finish())
  }

  async seqs(convIdList: string[]) {
    const data = await this.ask(im.syncConvSeq, proto.BatchGetConvSeqReq.encode({ convIdList }).finish())
    return proto.BatchGetConvSeqResp.decode(data).convSeqMap as Record<
      string,
      proto.BatchGetConvSeqResp.ConvSeq
    >
  }

  async sync(convId: string, seqList: (string | number)[]): Promise<Message[]> {
    const items = [{ convId, seqList: seqList.map(String) }]
    const data = await this.ask(im.syncMsgList, proto.BatchGetMsgListByConvIdReq.encode({ items }).finish())
    return proto.GetMsgListResp.decode(data).msgDataList as Message[]
  }

  async get(request: proto.GetMsgByIdReq.$Properties): Promise<Message | undefined> {
    const data = await this.ask(im.getMsgById, proto.GetMsgByIdReq.encode(request).finish())
    return (proto.GetMsgByIdResp.decode(data).msgData as Message | null) ?? undefined
  }

  async ack(noticeId: string, convId: string): Promise<void> {
    await this.ask(im.ackNotice, proto.AckNoticeDataReq.encode({ noticeId, convId }).finish())
  }

  async pending(): Promise<{ notices: proto.NoticeData[]; more: boolean }> {
    const request = proto.rpc.PendingNoticesReq.encode({ caller: this.caller }).finish()
    const reply = await this.#bus.request(im.pendingNotices, {}, request, AS_GATEWAYS_WAIT)
    const { code, notices, more } = proto.rpc.PendingNoticesResp.decode(reply)
    if (code !== proto.ResponseBody.Code.Success) throw new Coded(code, 'pending notices')
    return { notices: notices.map((each) => proto.NoticeData.decode(each)), more }
  }
}
