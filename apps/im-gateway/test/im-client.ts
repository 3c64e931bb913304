import { eventually, loginToken } from '@carillon/testkit'
import { WebSocket } from 'ws'
import { decode, encode, type Fields, numbersOf } from './document.ts'

const events = numbersOf('ActiveEvent')
const pushes = numbersOf('PushEvent')
const codeNames = Object.fromEntries(Object.entries(numbersOf('Code')).map(([name, code]) => [code, name]))

/** Which message of the document a request's and a response's `data` is. */
const shapes: Readonly<Record<string, readonly [string, string]>> = {
  SendMsgList: ['SendMsgListReq', 'SendMsgListResp'],
  SyncConvSeq: ['BatchGetConvSeqReq', 'BatchGetConvSeqResp'],
  SyncMsgList: ['BatchGetMsgListByConvIdReq', 'GetMsgListResp'],
  AckNotice: ['AckNoticeDataReq', 'AckNoticeDataResp'],
  GetMsgById: ['GetMsgByIdReq', 'GetMsgByIdResp'],
}

/** A response as a client sees it: `code` by its name. */
export interface ClientAnswer {
  readonly event: number
  readonly reqId: string
  readonly code: string
  readonly data: Uint8Array
}

export const parametersOf = (userId: string, others: Readonly<Record<string, string>> = {}) => ({
  userId,
  networkUsed: 'wifi',
  platform: 'ios',
  deviceId: 'xxx-xxx-xxx',
  deviceModel: 'iphone 6',
  osVersion: '10.3.1',
  appVersion: '1.0.0',
  language: 'zh',
  ...others,
})

/** A client written from the document alone. */
export class ImClient {
  readonly socket: WebSocket
  readonly texts: string[] = []
  /** Everything binary, as it came. */
  readonly frames: Buffer[] = []
  readonly messages: Fields[] = []
  readonly notices: Fields[] = []
  /** In the order in which they came, doubles included. */
  readonly answers: ClientAnswer[] = []
  closed: { readonly code: number; readonly reason: string } | undefined
  #requests = 0

  constructor(port: number, parameters: Readonly<Record<string, string>>, path = '/ws') {
    const query = new URLSearchParams(parameters).toString()
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}?${query}`, { perMessageDeflate: false })
    this.socket.on('error', () => {})
    this.socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.#pushed(Buffer.from(data))
      else this.texts.push(data.toString())
    })
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
    })
  }

  /** Connects as the document says, and waits for `connected`. */
  static async connect(
    port: number,
    userId: string,
    others: Readonly<Record<string, string>> = {},
  ): Promise<ImClient> {
    const token = await loginToken(userId)
    const client = new ImClient(port, { token, ...parametersOf(userId, others) })
    await eventually(() => {
      if (client.closed) throw new Error(`closed with ${client.closed.code} ${client.closed.reason}`)
      return client.texts[0] === 'connected'
    }, 60_000)
    return client
  }

  /** Sends a request of the document, and waits for its response. */
  async request(event: string, fields: Fields): Promise<ClientAnswer> {
    return this.ask(
      events[event] as number,
      encode((shapes[event] as readonly string[])[0] as string, fields),
    )
  }

  /** The decoded data of a response with the code Success. */
  async succeed(event: string, fields: Fields): Promise<Fields> {
    const { code, data } = await this.request(event, fields)
    if (code !== 'Success')
      throw new Error(`${event}: ${code} ${decode('AnyErrorResp', data).commonResp?.msg}`)
    return decode((shapes[event] as readonly string[])[1] as string, data)
  }

  async ask(event: number, data: Uint8Array): Promise<ClientAnswer> {
    const reqId = `req-${++this.#requests}`
    this.socket.send(encode('RequestBody', { event, reqId, data }))
    return this.answerTo(reqId)
  }

  answerTo(reqId: string): Promise<ClientAnswer> {
    return eventually(() => {
      if (this.closed) throw new Error(`closed with ${this.closed.code} ${this.closed.reason}`)
      return this.answers.find((each) => each.reqId === reqId) ?? false
    }, 60_000)
  }

  send(convId: string, text: string, fields: Fields = {}): Promise<Fields> {
    return this.succeed('SendMsgList', { msgDataList: [this.message(convId, text, fields)] })
  }

  message(convId: string, text: string, fields: Fields = {}): Fields {
    return {
      convId,
      clientMsgId: `${text}-${++this.#requests}`,
      clientTime: '1700000000000',
      contentType: 1,
      content: Buffer.from(text),
      options: { storageForServer: true, storageForClient: true },
      ...fields,
    }
  }

  /** What this client was pushed of a conversation, without doubles, by its texts. */
  textsOf(convId: string): string[] {
    const seen = new Set<string>()
    return this.messages
      .filter((each) => each.convId === convId && !seen.has(each.serverMsgId) && seen.add(each.serverMsgId))
      .map(({ content }) => Buffer.from(content).toString())
  }

  end(timeoutMs?: number): Promise<{ readonly code: number; readonly reason: string }> {
    return eventually(() => this.closed ?? false, timeoutMs)
  }

  close(): void {
    this.socket.terminate()
  }

  #pushed(frame: Buffer): void {
    this.frames.push(frame)
    const { event, data } = decode('PushBody', frame)
    if (event === pushes.PushMsgDataList) this.messages.push(...decode('MsgDataList', data).msgDataList)
    else if (event === pushes.PushNoticeDataList) {
      this.notices.push(...decode('NoticeDataList', data).noticeDataList)
    } else {
      const answer = decode('ResponseBody', data)
      this.answers.push({
        ...(answer as ClientAnswer),
        code: codeNames[answer.code] ?? `code ${answer.code}`,
      })
    }
  }
}

/** The reason in a refusal. */
export function reasonOf({ data }: ClientAnswer): string | undefined {
  return decode('AnyErrorResp', data).commonResp?.msg
}
