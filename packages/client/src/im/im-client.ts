import { Client, type ClientOptions, type ConnectionEvents } from '../core/client.ts'
import { ClientError, messageOf } from '../core/errors.ts'
import { EventStream, type StreamOptions } from '../core/event-stream.ts'
import { Conversation, EarlyBudget } from './conversation.ts'
import { imCloseCodes, type Message, messages, type Notice, type OutgoingMessage, pushes } from './im.ts'
import { Notices } from './notices.ts'
import { decode, encode } from './protobuf.ts'
import { Requests } from './requests.ts'

export interface ImOptions extends ClientOptions {
  readonly userId: string
  readonly platform: 'ios' | 'android' | 'web' | 'pc' | 'mac' | 'linux' | 'windows'
  /** The same device has one connection: a newer one closes the older. */
  readonly deviceId: string
  readonly networkUsed?: string
  readonly deviceModel?: string
  readonly osVersion?: string
  readonly appVersion?: string
  readonly language?: string
  /** The last place that was seen of each conversation, from {@link ImClient.positions} of an earlier run. */
  readonly positions?: Readonly<Record<string, string>>
  /** A notice is acknowledged when this is done; where it fails the notice comes again. */
  readonly handleNotice?: (notice: Notice) => void | Promise<void>
}

export interface ImEvents extends ConnectionEvents {
  readonly message: Message
}

export interface SendOptions {
  /** Seconds, up to 864000, after which the messages get their place. */
  readonly deliverAfterS?: number
  /** For the answer, over all attempts. Default 120000. */
  readonly timeoutMs?: number
}

const HEARTBEAT_MS = 60_000
const TIMEOUT_MS = 120_000
const SYNC_MAX = 500
const [SENDS_MAX, CONVERSATIONS_MAX, TRANSIENT_MAX] = [1_000, 10_000, 1_000]
const MESSAGE_OPTIONS = {
  storageForServer: true,
  storageForClient: true,
  updateConvMsg: true,
  updateUnreadCount: true,
}

/** Instant messages: each conversation in its order, without a gap or a double, over any number of connections. */
export class ImClient extends Client<ImEvents> {
  readonly #options: ImOptions
  readonly #requests = new Requests(
    (frame) => this.send(frame),
    () => this.drop(1006, 'a request was not answered'),
  )
  readonly #notices: Notices | undefined
  readonly #conversations = new Map<string, Conversation>()
  readonly #early = new EarlyBudget()
  readonly #advancing = new Set<Conversation>()
  readonly #streams = new Map<EventStream<Message>, string | undefined>()
  /** Messages that have no place, by serverMsgId: the last ones, to tell doubles. */
  readonly #transient = new Set<string>()
  #sends: Promise<unknown> = Promise.resolve()
  #sendsWaiting = 0
  #receivedAtMs = 0

  constructor(options: ImOptions) {
    super(options, { service: 'im', closeCodes: imCloseCodes })
    this.#options = options
    for (const [convId, seq] of Object.entries(options.positions ?? {})) this.follow(convId, seq)
    const { handleNotice } = options
    if (handleNotice === undefined) return
    this.#notices = new Notices(
      handleNotice,
      (notice) => this.acknowledge(notice),
      (error) => this.fail('notice_failed', messageOf(error)),
    )
  }

  /**
   * Fetches what a conversation has after that place, and keeps up with it. Without a place it begins with what comes.
   * Conversations that push something are kept up with by themselves from there on.
   */
  follow(convId: string, afterSeq?: string): void {
    const position = afterSeq === undefined ? undefined : Number(afterSeq)
    if (position !== undefined && !(Number.isSafeInteger(position) && position >= 0)) {
      throw new ClientError('invalid_argument', `no place in a conversation: ${afterSeq}`)
    }
    if (this.#conversations.has(convId)) return
    if (this.#conversations.size >= CONVERSATIONS_MAX) {
      throw new ClientError('invalid_argument', `more than ${CONVERSATIONS_MAX} conversations`)
    }
    this.#conversations.set(convId, new Conversation(convId, position, this.#early))
    if (this.state.type === 'open') void this.#sync([convId])
  }

  /** The last place of each conversation that was handed out: to be stored, and given to the next client. */
  get positions(): Record<string, string> {
    const known = [...this.#conversations.values()].filter(({ position }) => position !== undefined)
    return Object.fromEntries(known.map(({ convId, position }) => [convId, String(position)]))
  }

  /**
   * Messages for a `for await` loop, of one conversation or of all. Where the loop is slow, messages wait on the server:
   * none is dropped.
   */
  messages(
    convId?: string,
    { capacity = 1_000 }: Pick<StreamOptions, 'capacity'> = {},
  ): EventStream<Message> {
    const stream: EventStream<Message> = new EventStream(
      { capacity },
      () => void this.#streams.delete(stream),
    )
    this.#streams.set(stream, convId)
    return stream
  }

  /**
   * Sends messages, all or none of them; they are stored when it settles. Asked again, with the same clientMsgId, until
   * there is an answer, so that nothing is stored twice. One call follows the other, so that they keep their order.
   * @returns the clientMsgIds
   * @throws {ClientError} `RequestError`, `AuthError` … by the server, `unanswered` or `queue_full`
   */
  async sendMessages(
    list: OutgoingMessage | readonly OutgoingMessage[],
    options: SendOptions = {},
  ): Promise<string[]> {
    if (this.#sendsWaiting >= SENDS_MAX) {
      throw new ClientError('queue_full', `more than ${SENDS_MAX} messages wait to be sent`)
    }
    const msgDataList = [list].flat().map((message) => ({
      clientTime: String(Date.now()),
      options: MESSAGE_OPTIONS,
      ...message,
      clientMsgId: message.clientMsgId ?? newId(),
    }))
    const { deliverAfterS, timeoutMs = TIMEOUT_MS } = options
    const data = encode(messages.SendMsgListReq, { msgDataList, deliverAfter: deliverAfterS })
    this.#sendsWaiting += 1
    const sent = this.#sends.then(() =>
      this.#requests.ask('SendMsgList', data, { idempotent: true, timeoutMs }),
    )
    this.#sends = sent
      .catch(() => {})
      .then(() => {
        this.#sendsWaiting -= 1
      })
    await sent
    return msgDataList.map(({ clientMsgId }) => clientMsgId)
  }

  /** Messages by their places, the highest first; at places that hold nothing for the user, nothing. */
  async history(convId: string, seqs: readonly (string | number)[]): Promise<Message[]> {
    const items = [{ convId, seqList: seqs.map(String) }]
    return this.#read(messages.GetMsgListResp, 'SyncMsgList', messages.BatchGetMsgListByConvIdReq, {
      items,
    }).then(({ msgDataList }) => (msgDataList as Message[]).filter(({ senderId }) => senderId !== ''))
  }

  /** A message by one of its ids; a clientMsgId is one of the user's own. */
  async message(
    id: { readonly serverMsgId: string } | { readonly clientMsgId: string },
  ): Promise<Message | undefined> {
    const { msgData } = await this.#read(messages.GetMsgByIdResp, 'GetMsgById', messages.GetMsgByIdReq, id)
    return msgData as Message | undefined
  }

  /** Tells that this device has a notice and all older ones of its channel. `handleNotice` does it by itself. */
  async acknowledge({ noticeId, convId }: Pick<Notice, 'noticeId' | 'convId'>): Promise<void> {
    await this.#read({}, 'AckNotice', messages.AckNoticeDataReq, { noticeId, convId })
  }

  /**
   * A CustomRequest, such as `/v1/user/getUserSettings`; answers the response's data. Not asked again by itself.
   * @throws {ClientError} with the answer's code, or `unanswered`
   */
  custom(method: string, data: Uint8Array = new Uint8Array(), timeoutMs = 20_000): Promise<Uint8Array> {
    const body = encode(messages.CustomRequestBody, { method, data })
    return this.#requests.ask('CustomRequest', body, { idempotent: false, timeoutMs })
  }

  override connect(): Promise<void> {
    this.#requests.open()
    return super.connect()
  }

  protected override url(base: string, token: string): string {
    const { userId, platform, deviceId } = this.#options
    const { networkUsed = 'unknown', deviceModel = 'unknown', osVersion = 'unknown' } = this.#options
    const { appVersion = 'unknown', language = 'en' } = this.#options
    const device = { platform, deviceId, networkUsed, deviceModel, osVersion, appVersion, language }
    return `${base}/ws?${new URLSearchParams({ token, userId, ...device })}`
  }

  /** The server greets, when what is published from then on will be pushed. */
  protected override opened(): void {}

  protected override lost(): void {
    this.#requests.lost()
  }

  protected override ended(error: ClientError | undefined): void {
    this.#requests.close()
    for (const stream of [...this.#streams.keys()]) stream.end(error)
  }

  protected override heartbeatMs(): number {
    return HEARTBEAT_MS
  }

  /** Where nothing came for a while, a request shows whether the connection lives, and whether something was missed. */
  protected override heartbeat(): void {
    if (performance.now() - this.#receivedAtMs < HEARTBEAT_MS / 2) return
    const [first] = this.#conversations.values()
    if (first !== undefined) {
      // Another one next time.
      this.#conversations.delete(first.convId)
      this.#conversations.set(first.convId, first)
    }
    void this.#sync(first ? [first.convId] : [])
  }

  protected override received(frame: string | Uint8Array): void {
    this.#receivedAtMs = performance.now()
    if (frame === 'connected') {
      this.#notices?.connected()
      this.ready()
      this.#requests.connected()
      return void this.#sync([...this.#conversations.keys()])
    }
    if (typeof frame === 'string') return
    try {
      const { event, data } = decode(messages.PushBody, frame) as { event: number; data: Uint8Array }
      if (event === pushes.PushResponseBody) this.#requests.answered(data)
      else if (event === pushes.PushMsgDataList) this.#pushed(data)
      else if (event === pushes.PushNoticeDataList) {
        const { noticeDataList } = decode(messages.NoticeDataList, data) as { noticeDataList: Notice[] }
        for (const notice of noticeDataList) this.#notices?.add(notice)
      }
    } catch (error) {
      this.fail('malformed_frame', messageOf(error))
    }
  }

  #pushed(data: Uint8Array): void {
    const { msgDataList } = decode(messages.MsgDataList, data) as unknown as { msgDataList: Message[] }
    for (const message of msgDataList) {
      if (message.seq === '0') this.#handOutTransient(message)
      else {
        const { convId } = message
        const known = this.#conversations.get(convId)
        const isKept = this.#conversations.size < CONVERSATIONS_MAX
        const conversation =
          known ?? new Conversation(convId, undefined, isKept ? this.#early : new EarlyBudget())
        if (known === undefined && isKept) this.#conversations.set(convId, conversation)
        conversation.add(message)
        void this.#advance(conversation)
      }
    }
  }

  /** Asks how far conversations reach, and fetches what is missing. */
  async #sync(convIds: readonly string[]): Promise<void> {
    try {
      for (let at = 0; at < Math.max(1, convIds.length); at += SYNC_MAX) {
        const convIdList = convIds.slice(at, at + SYNC_MAX)
        const answer = await this.#read(
          messages.BatchGetConvSeqResp,
          'SyncConvSeq',
          messages.BatchGetConvSeqReq,
          {
            convIdList,
          },
        )
        for (const { key, value } of answer.convSeqMap as {
          key: string
          value?: { minSeq: string; maxSeq: string }
        }[]) {
          const conversation = this.#conversations.get(key)
          if (conversation === undefined) continue
          if (value) conversation.reaches(Number(value.minSeq), Number(value.maxSeq))
          void this.#advance(conversation)
        }
      }
    } catch (error) {
      // With the connection gone, the next one asks again.
      if (this.state.type === 'open') this.fail((error as ClientError).code, messageOf(error))
    }
  }

  /** Hands out what is next, and fetches what is not here, as long as there is something and the loops keep up. */
  async #advance(conversation: Conversation): Promise<void> {
    if (this.#advancing.has(conversation)) return
    this.#advancing.add(conversation)
    try {
      for (;;) {
        for (let room = this.#room(conversation.convId); room; room = this.#room(conversation.convId))
          await room
        const message = conversation.take()
        if (message) {
          this.#handOut(message)
          continue
        }
        const seqs = conversation.missing()
        if (seqs.length === 0 || this.state.type !== 'open') return
        await this.#fetch(conversation, seqs)
      }
    } catch (error) {
      const { code } = error as ClientError
      // No member any more.
      if (code === 'AuthError') {
        this.#conversations.delete(conversation.convId)
        conversation.clear()
      }
      if (this.state.type === 'open') this.fail(code, messageOf(error))
    } finally {
      this.#advancing.delete(conversation)
    }
  }

  async #fetch(conversation: Conversation, seqs: readonly number[]): Promise<void> {
    const { convId } = conversation
    const items = [{ convId, seqList: seqs.map(String) }]
    const answer = await this.#read(
      messages.GetMsgListResp,
      'SyncMsgList',
      messages.BatchGetMsgListByConvIdReq,
      {
        items,
      },
    )
    const found = answer.msgDataList as Message[]
    const asked = new Set(items[0]?.seqList)
    const told = found.filter((message) => message.convId === convId && asked.has(message.seq))
    if (told.length === 0) throw new ClientError('refused', `the server does not tell what is in ${convId}`)
    for (const message of told) conversation.add(message, true)
    // All of it was before the user joined: where that was saves asking for the rest.
    if (seqs.length > 1 && found.every(({ senderId }) => senderId === '')) {
      const { convSeqMap } = await this.#read(
        messages.BatchGetConvSeqResp,
        'SyncConvSeq',
        messages.BatchGetConvSeqReq,
        {
          convIdList: [convId],
        },
      )
      const [entry] = convSeqMap as { value?: { minSeq: string; maxSeq: string } }[]
      if (entry?.value) conversation.reaches(Number(entry.value.minSeq), Number(entry.value.maxSeq))
    }
  }

  /** Undefined where every loop has room for a message of the conversation. */
  #room(convId: string): Promise<void> | undefined {
    for (const [stream, only] of this.#streams) {
      const room = only === undefined || only === convId ? stream.room() : undefined
      if (room) return room
    }
    return undefined
  }

  #handOut(message: Message): void {
    this.emit('message', message)
    for (const [stream, only] of [...this.#streams]) {
      if (only === undefined || only === message.convId) stream.push(message)
    }
  }

  /** It has no place: for a loop that is full it is lost, as for somebody who is not connected. */
  #handOutTransient(message: Message): void {
    if (this.#transient.has(message.serverMsgId)) return
    this.#transient.add(message.serverMsgId)
    if (this.#transient.size > TRANSIENT_MAX)
      this.#transient.delete(this.#transient.values().next().value as string)
    this.emit('message', message)
    for (const [stream, only] of [...this.#streams]) {
      if ((only === undefined || only === message.convId) && stream.room() === undefined) stream.push(message)
    }
  }

  async #read(
    answerType: Parameters<typeof decode>[0],
    event: Parameters<Requests['ask']>[0],
    requestType: Parameters<typeof encode>[0],
    fields: object,
  ) {
    const data = encode(requestType, fields as Record<string, unknown>)
    return decode(
      answerType,
      await this.#requests.ask(event, data, { idempotent: true, timeoutMs: TIMEOUT_MS }),
    )
  }
}

/** `randomUUID` needs a page that was served securely. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
