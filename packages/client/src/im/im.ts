import type { MessageType } from './protobuf.ts'

/** The wire of im-gateway: proto/client.proto as far as clients need it; a test compares the two. */

export const events = {
  SendMsgList: 0,
  SyncConvSeq: 1,
  SyncMsgList: 2,
  AckNotice: 3,
  GetMsgById: 4,
  CustomRequest: 100,
} as const

export type RequestEvent = keyof typeof events

export const pushes = { PushMsgDataList: 0, PushNoticeDataList: 1, PushResponseBody: 2 } as const

export const codes = {
  Success: 0,
  UnknownError: 1,
  InternalError: 2,
  RequestError: 3,
  AuthError: 4,
  ToastError: 5,
  AlertError: 7,
  RetryError: 8,
} as const

const MsgData = {
  clientMsgId: [1, 'string'],
  serverMsgId: [2, 'string'],
  clientTime: [3, 'string'],
  serverTime: [4, 'string'],
  senderId: [11, 'string'],
  senderInfo: [12, 'bytes'],
  convId: [21, 'string'],
  atUsers: [22, 'string', true],
  contentType: [31, 'int32'],
  content: [32, 'bytes'],
  seq: [33, 'string'],
  options: [
    41,
    {
      storageForServer: [1, 'bool'],
      storageForClient: [2, 'bool'],
      needDecrypt: [3, 'bool'],
      offlinePush: [4, 'bool'],
      updateConvMsg: [5, 'bool'],
      updateUnreadCount: [6, 'bool'],
    },
  ],
  offlinePush: [42, { title: [1, 'string'], content: [2, 'string'], payload: [3, 'string'] }],
  ext: [100, 'bytes'],
} as const satisfies MessageType

const NoticeData = {
  convId: [1, 'string'],
  unreadCount: [2, 'int32'],
  unreadAbsolute: [3, 'bool'],
  noticeId: [11, 'string'],
  createTime: [12, 'string'],
  title: [13, 'string'],
  contentType: [14, 'int32'],
  content: [15, 'bytes'],
  options: [21, { storageForClient: [1, 'bool'], updateConvMsg: [2, 'bool'], onlinePushOnce: [3, 'bool'] }],
  ext: [31, 'bytes'],
} as const satisfies MessageType

const ConvSeq = {
  convId: [1, 'string'],
  minSeq: [2, 'string'],
  maxSeq: [3, 'string'],
  updateTime: [4, 'string'],
} as const satisfies MessageType

/** By the message's name in proto/client.proto. */
export const messages = {
  RequestBody: { event: [1, 'int32'], reqId: [2, 'string'], data: [3, 'bytes'] },
  PushBody: { event: [1, 'int32'], data: [2, 'bytes'] },
  ResponseBody: { event: [1, 'int32'], reqId: [2, 'string'], code: [3, 'int32'], data: [4, 'bytes'] },
  ErrorResp: { commonResp: [1, { code: [1, 'int32'], msg: [2, 'string'], data: [3, 'bytes'] }] },
  MsgDataList: { msgDataList: [1, MsgData, true] },
  NoticeDataList: { noticeDataList: [1, NoticeData, true] },
  SendMsgListReq: { msgDataList: [2, MsgData, true], deliverAfter: [11, 'int32'] },
  BatchGetConvSeqReq: { convIdList: [2, 'string', true] },
  BatchGetConvSeqResp: { convSeqMap: [2, { key: [1, 'string'], value: [2, ConvSeq] }, true] },
  BatchGetMsgListByConvIdReq: { items: [2, { convId: [1, 'string'], seqList: [2, 'string', true] }, true] },
  GetMsgListResp: { msgDataList: [2, MsgData, true] },
  AckNoticeDataReq: { noticeId: [2, 'string'], convId: [3, 'string'] },
  GetMsgByIdReq: { serverMsgId: [2, 'string'], clientMsgId: [3, 'string'] },
  GetMsgByIdResp: { msgData: [2, MsgData] },
  CustomRequestBody: { method: [1, 'string'], data: [2, 'bytes'] },
} as const satisfies Record<string, MessageType>

export interface MessageOptions {
  readonly storageForServer?: boolean
  readonly storageForClient?: boolean
  readonly needDecrypt?: boolean
  readonly offlinePush?: boolean
  readonly updateConvMsg?: boolean
  readonly updateUnreadCount?: boolean
}

/** What an application sends. */
export interface OutgoingMessage {
  readonly convId: string
  readonly contentType: number
  readonly content: Uint8Array
  /** Default: a new one. The same one again stores nothing twice. */
  readonly clientMsgId?: string
  /** Milliseconds since the epoch, as text. */
  readonly clientTime?: string
  readonly senderInfo?: Uint8Array
  readonly atUsers?: readonly string[]
  readonly options?: MessageOptions
  readonly offlinePush?: { readonly title: string; readonly content: string; readonly payload: string }
  readonly ext?: Uint8Array
}

/** What came. `seq` is the message's place in its conversation, `0` for one that is not stored. */
export interface Message extends Required<Omit<OutgoingMessage, 'options' | 'offlinePush'>> {
  readonly serverMsgId: string
  readonly serverTime: string
  readonly senderId: string
  readonly seq: string
  readonly options: Required<MessageOptions> | undefined
  readonly offlinePush: OutgoingMessage['offlinePush'] | undefined
}

export interface Notice {
  /** The channel it belongs to. */
  readonly convId: string
  readonly noticeId: string
  readonly createTime: string
  readonly title: string
  readonly contentType: number
  readonly content: Uint8Array
  readonly unreadCount: number
  readonly unreadAbsolute: boolean
  readonly options:
    | {
        readonly storageForClient: boolean
        readonly updateConvMsg: boolean
        readonly onlinePushOnce: boolean
      }
    | undefined
  readonly ext: Uint8Array
}

/** By close code: does the client connect again? */
export const imCloseCodes = {
  1000: false,
  1012: true,
  1013: true,
  3000: false,
  4403: false,
  4408: true,
  4429: false,
}
