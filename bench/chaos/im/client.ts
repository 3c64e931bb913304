import { im } from '@carillon/codec'
import { loginToken } from '@carillon/testkit'
import { WebSocket } from 'ws'
import type { Choices } from './choices.ts'
import type { Ledger, Seen } from './ledger.ts'

const { ActiveEvent } = im
const { Code } = im.ResponseBody
const CONNECT_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 15_000
const SYNC_AT_ONCE = 200

class Disconnected extends Error {}

/** A client that behaves as the protocol asks: sends again what was not answered, syncs by seq, acknowledges. */
export class ImClient {
  readonly userId: string
  readonly #urls: readonly string[]
  readonly #convIds: readonly string[]
  readonly #ledger: Ledger
  readonly #random: Choices
  readonly #waiting = new Map<string, (response: im.ResponseBody | undefined) => void>()
  readonly #acking = new Set<string>()
  #socket: WebSocket | undefined
  #requests = 0
  #messages = 0
  #stopped = false
  /** Messages of its own that are not answered yet. */
  unanswered = 0
  /** It is connected and has fetched what it had missed. */
  synced = false

  constructor(
    userId: string,
    urls: readonly string[],
    convIds: readonly string[],
    ledger: Ledger,
    random: Choices,
  ) {
    this.userId = userId
    this.#urls = urls
    this.#convIds = convIds
    this.#ledger = ledger
    this.#random = random
  }

  /** Connects, again and again, until stopped. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#session()
      } catch (error) {
        if (!(error instanceof Disconnected)) this.#ledger.violation(`${this.userId}: ${String(error)}`)
      }
      this.synced = false
      this.#end()
      await pause(this.#random.between(50, 400))
    }
  }

  stop(): void {
    this.#stopped = true
    this.#end()
  }

  /** Sends one message for as long as it takes. */
  async send(convId: string): Promise<void> {
    this.#messages += 1
    const clientMsgId = `${this.userId}-${this.#messages}`
    const data = im.SendMsgListReq.encode({
      msgDataList: [
        {
          clientMsgId,
          convId,
          clientTime: String(Date.now()),
          contentType: 1,
          content: Buffer.from(`text of ${clientMsgId}`),
          options: { storageForServer: true },
        },
      ],
    }).finish()
    this.unanswered += 1
    while (!this.#stopped) {
      const response = await this.#request(ActiveEvent.SendMsgList, data)
      if (response?.code === Code.Success) {
        this.#ledger.answered.set(clientMsgId, convId)
        this.unanswered -= 1
        return
      }
      if (response !== undefined) {
        this.#ledger.count(`sends answered with ${Code[response.code]}`)
        if (response.code !== Code.RetryError) {
          this.#ledger.violation(
            `${clientMsgId} was answered with ${Code[response.code]}: ${reasonOf(response)}`,
          )
        }
      }
      this.#ledger.count('sends repeated')
      await pause(this.#random.between(20, 200))
    }
  }

  /** The last number of each of its conversations, or undefined where they could not be had. */
  async highest(): Promise<Map<string, number> | undefined> {
    const data = im.BatchGetConvSeqReq.encode({ convIdList: [...this.#convIds] }).finish()
    const response = await this.#request(ActiveEvent.SyncConvSeq, data)
    if (response?.code !== Code.Success) return undefined
    const { convSeqMap } = im.BatchGetConvSeqResp.decode(response.data)
    return new Map(Object.entries(convSeqMap).map(([convId, entry]) => [convId, Number(entry.maxSeq)]))
  }

  async #session(): Promise<void> {
    const url = `${this.#random.pick(this.#urls)}/ws?${new URLSearchParams({
      token: await loginToken(this.userId),
      userId: this.userId,
      networkUsed: 'wifi',
      platform: 'ios',
      deviceId: `device-${this.userId}`,
      deviceModel: 'model',
      osVersion: '1',
      appVersion: '1',
      language: 'en',
    })}`
    const socket = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: CONNECT_TIMEOUT_MS })
    this.#socket = socket
    const closed = new Promise<never>((_, reject) => {
      socket.on('error', () => {})
      socket.on('close', (code) => {
        this.#ledger.count(`connections ended with ${code}`)
        reject(new Disconnected())
      })
    })
    closed.catch(() => {})
    const connected = new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer, binary) => {
        if (binary) this.#push(data)
        else if (String(data) === 'connected') resolve()
      })
    })
    const late = setTimeout(() => socket.terminate(), CONNECT_TIMEOUT_MS)
    await Promise.race([connected, closed]).finally(() => clearTimeout(late))
    this.#ledger.count('connections opened')
    while (!(await Promise.race([this.#sync(), closed]))) await Promise.race([pause(200), closed])
    this.synced = true
    await closed
  }

  /** Fetches what is missing; answers whether it all came. */
  async #sync(): Promise<boolean> {
    const highest = await this.highest()
    if (highest === undefined) return false
    for (const [convId, last] of highest) {
      const seen = this.#ledger.seenBy(this.userId, convId)
      const missing: number[] = []
      for (let seq = 1; seq <= last; seq++) if (!seen.has(seq)) missing.push(seq)
      for (let at = 0; at < missing.length; at += SYNC_AT_ONCE) {
        const seqList = missing.slice(at, at + SYNC_AT_ONCE).map(String)
        const items = [{ convId, seqList }]
        const data = im.BatchGetMsgListByConvIdReq.encode({ items }).finish()
        const response = await this.#request(ActiveEvent.SyncMsgList, data)
        if (response?.code !== Code.Success) return false
        const { msgDataList } = im.GetMsgListResp.decode(response.data)
        for (const message of msgDataList) {
          if (!message.clientMsgId) {
            this.#ledger.violation(`${message.serverMsgId} is a hole below ${last}`)
          } else if (this.#saw(message)) this.#ledger.count('messages fetched by sync')
        }
      }
    }
    return true
  }

  #saw(message: im.MsgData.$Properties): boolean {
    const seen: Seen = {
      convId: message.convId ?? '',
      seq: Number(message.seq),
      serverMsgId: message.serverMsgId ?? '',
      clientMsgId: message.clientMsgId ?? '',
      senderId: message.senderId ?? '',
      text: Buffer.from(message.content ?? []).toString(),
    }
    return this.#ledger.saw(this.userId, seen)
  }

  #push(frame: Buffer): void {
    const { event, data } = im.PushBody.decode(frame)
    switch (event) {
      case im.PushEvent.PushMsgDataList:
        for (const message of im.MsgDataList.decode(data).msgDataList) {
          this.#ledger.count(this.#saw(message) ? 'messages pushed' : 'messages pushed again')
        }
        break
      case im.PushEvent.PushNoticeDataList:
        for (const { noticeId, convId } of im.NoticeDataList.decode(data).noticeDataList) {
          void this.#acknowledge(noticeId ?? '', convId ?? '')
        }
        break
      case im.PushEvent.PushResponseBody: {
        const response = im.ResponseBody.decode(data)
        this.#waiting.get(response.reqId)?.(response)
        break
      }
    }
  }

  async #acknowledge(noticeId: string, convId: string): Promise<void> {
    const key = `${this.userId} ${noticeId}`
    this.#ledger.delivered.add(key)
    if (this.#acking.has(noticeId)) return
    this.#acking.add(noticeId)
    const data = im.AckNoticeDataReq.encode({ noticeId, convId }).finish()
    const response = await this.#request(ActiveEvent.AckNotice, data)
    this.#acking.delete(noticeId)
    if (response?.code === Code.Success) this.#ledger.acknowledged.add(key)
  }

  /** The response, or undefined where the connection ended or nothing came in time. */
  #request(event: im.ActiveEvent, data: Uint8Array): Promise<im.ResponseBody | undefined> {
    const socket = this.#socket
    if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve(undefined)
    this.#requests += 1
    const reqId = String(this.#requests)
    return new Promise((resolve) => {
      const finish = (response: im.ResponseBody | undefined) => {
        clearTimeout(timer)
        this.#waiting.delete(reqId)
        resolve(response)
      }
      const timer = setTimeout(() => {
        this.#ledger.count('requests without an answer in 15 s')
        finish(undefined)
      }, REQUEST_TIMEOUT_MS)
      this.#waiting.set(reqId, finish)
      socket.send(im.RequestBody.encode({ event, reqId, data }).finish())
    })
  }

  #end(): void {
    this.#socket?.terminate()
    this.#socket = undefined
    for (const finish of [...this.#waiting.values()]) finish(undefined)
  }
}

function reasonOf({ data }: im.ResponseBody): string {
  return im.ErrorResp.decode(data).commonResp?.msg ?? ''
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
