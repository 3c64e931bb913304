import { type Static, Type } from 'typebox'
import { defineEvent, defineRequest } from './channel.ts'
import { binary, json } from './payload.ts'
import { Millis, Name, Outcome } from './schemas.ts'

const protobuf = (message: string) => binary(`application/x-protobuf; message=${message}`)

/** A user's id, as it stands in tokens, members and conversation ids. */
export const ImUserId = Type.String({ pattern: '^[a-zA-Z0-9_]+$', minLength: 1, maxLength: 64 })
export const ImConvId = Type.String({ minLength: 1, maxLength: 160 })
const Base64 = Type.String({ pattern: '^[A-Za-z0-9+/_-]*={0,2}$', contentEncoding: 'base64' })
const Int32 = Type.Integer({ minimum: -2_147_483_648, maximum: 2_147_483_647 })
const Decimal = Type.String({ pattern: '^[0-9]{1,19}$' })

export const ConvMembers = Type.Object(
  { convId: ImConvId, members: Type.Array(ImUserId, { maxItems: 10_000 }) },
  { $id: 'ConvMembers' },
)
export type ConvMembers = Static<typeof ConvMembers>

export const ConvQuery = Type.Object(
  { convId: ImConvId, after: Type.Optional(ImUserId) },
  { $id: 'ConvQuery' },
)
export const ConvState = Type.Intersect(
  [
    Outcome,
    Type.Object({
      convId: Type.Optional(ImConvId),
      /** The highest sequence number; 64-bit, so as text. */
      maxSeq: Type.Optional(Decimal),
      memberCount: Type.Optional(Type.Integer({ minimum: 0 })),
      /** In the order of their ids. A member sees what stands behind `minSeq`. */
      members: Type.Optional(Type.Array(Type.Object({ userId: ImUserId, minSeq: Decimal }))),
      /** How to ask for those that did not fit into this answer: the next `after`. */
      next: Type.Optional(ImUserId),
    }),
  ],
  { $id: 'ConvState' },
)
export type ConvQuery = Static<typeof ConvQuery>
export type ConvState = Static<typeof ConvState>

/** MsgData as JSON: what the server sets is left out, bytes are base64. */
export const ImMessage = Type.Object(
  {
    convId: ImConvId,
    senderId: ImUserId,
    clientMsgId: Type.Optional(Name),
    clientTime: Type.Optional(Decimal),
    senderInfo: Type.Optional(Base64),
    atUsers: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 10_000 })),
    contentType: Int32,
    content: Base64,
    options: Type.Optional(
      Type.Object({
        storageForServer: Type.Optional(Type.Boolean()),
        storageForClient: Type.Optional(Type.Boolean()),
        needDecrypt: Type.Optional(Type.Boolean()),
        offlinePush: Type.Optional(Type.Boolean()),
        updateConvMsg: Type.Optional(Type.Boolean()),
        updateUnreadCount: Type.Optional(Type.Boolean()),
      }),
    ),
    offlinePush: Type.Optional(
      Type.Object({
        title: Type.Optional(Type.String()),
        content: Type.Optional(Type.String()),
        payload: Type.Optional(Type.String()),
      }),
    ),
    ext: Type.Optional(Base64),
  },
  { $id: 'ImMessage' },
)
export type ImMessage = Static<typeof ImMessage>

export const ImSend = Type.Object(
  {
    msgDataList: Type.Array(ImMessage, { minItems: 1, maxItems: 200 }),
    deliverAfter: Type.Optional(Type.Integer({ minimum: 0, maximum: 864_000 })),
  },
  { $id: 'ImSend' },
)
export type ImSend = Static<typeof ImSend>

export const ImSent = Type.Intersect(
  [
    Outcome,
    Type.Object({
      /** In the order of the request; without seq and serverMsgId where the message is not stored, or not yet. */
      msgDataList: Type.Optional(
        Type.Array(
          Type.Object({
            convId: Type.String(),
            clientMsgId: Type.String(),
            serverMsgId: Type.String(),
            seq: Type.String(),
            serverTime: Type.String(),
          }),
        ),
      ),
    }),
  ],
  { $id: 'ImSent' },
)
export type ImSent = Static<typeof ImSent>

export const ImNotice = Type.Object(
  {
    userIds: Type.Array(ImUserId, { minItems: 1, maxItems: 10_000 }),
    notice: Type.Object({
      convId: ImConvId,
      title: Type.String(),
      contentType: Int32,
      content: Base64,
      unreadCount: Type.Optional(Int32),
      unreadAbsolute: Type.Optional(Type.Boolean()),
      options: Type.Optional(
        Type.Object({
          storageForClient: Type.Optional(Type.Boolean()),
          updateConvMsg: Type.Optional(Type.Boolean()),
          onlinePushOnce: Type.Optional(Type.Boolean()),
        }),
      ),
      ext: Type.Optional(Base64),
    }),
  },
  { $id: 'ImNotice' },
)
export type ImNotice = Static<typeof ImNotice>

export const ImNoticeSent = Type.Intersect(
  [Outcome, Type.Object({ noticeId: Type.Optional(Type.String()) })],
  { $id: 'ImNoticeSent' },
)
export type ImNoticeSent = Static<typeof ImNoticeSent>

export const ImSession = Type.Object(
  {
    user_id: Name,
    platform: Name,
    device_id: Name,
    instance_id: Name,
    reason: Type.Optional(Type.String()),
    at: Millis,
  },
  { $id: 'ImSession' },
)
export type ImSession = Static<typeof ImSession>

export const ImOfflinePush = Type.Object(
  {
    user_id: Name,
    conv_id: Name,
    server_msg_id: Type.String(),
    sender_id: Name,
    title: Type.String(),
    content: Type.String(),
    payload: Type.String(),
    at: Millis,
  },
  { $id: 'ImOfflinePush' },
)
export type ImOfflinePush = Static<typeof ImOfflinePush>

const clientRequest = {
  direction: 'receive',
  answers: 'one',
  payload: protobuf('im.rpc.ClientRequest'),
  reply: protobuf('im.rpc.ClientResponse'),
} as const
const gatewayRequest = { direction: 'receive', answers: 'one' } as const
const serviceRequest = { direction: 'receive', answers: 'one' } as const

/**
 * How long a gateway waits for an answer. The message service answers sooner: it bounds its own waiting, and says
 * RetryError when that time is over.
 */
export const IM_RPC_TIMEOUT_MS = 12_000

/** On pushes of a conversation: the highest sequence number in it. Pushes without one are not stored. */
export const IM_SEQ_HEADER = 'Carillon-Seq'

/** The queue group in which the instances of the message service share the requests. */
export const IM_MESSAGES_QUEUE = 'im-messages'

export const im = {
  // Gateways → message service.
  sendMsgList: defineRequest('im.rpc.SendMsgList', {
    ...clientRequest,
    summary: 'A client sends messages: answered when they are stored',
  }),
  syncConvSeq: defineRequest('im.rpc.SyncConvSeq', {
    ...clientRequest,
    summary: 'A client asks for the sequence numbers of conversations',
  }),
  syncMsgList: defineRequest('im.rpc.SyncMsgList', {
    ...clientRequest,
    summary: 'A client asks for messages by sequence number',
  }),
  ackNotice: defineRequest('im.rpc.AckNotice', {
    ...clientRequest,
    summary: 'A device has consumed a notice',
  }),
  getMsgById: defineRequest('im.rpc.GetMsgById', {
    ...clientRequest,
    summary: 'A client asks for one message',
  }),
  conversations: defineRequest('im.rpc.Conversations', {
    ...gatewayRequest,
    summary: 'The conversations a user is a member of, a page at a time',
    payload: protobuf('im.rpc.ConversationsReq'),
    reply: protobuf('im.rpc.ConversationsResp'),
  }),
  pendingNotices: defineRequest('im.rpc.PendingNotices', {
    ...gatewayRequest,
    summary: 'The first notices that a device has not acknowledged',
    payload: protobuf('im.rpc.PendingNoticesReq'),
    reply: protobuf('im.rpc.PendingNoticesResp'),
  }),
  catchUp: defineRequest('im.rpc.CatchUp', {
    ...gatewayRequest,
    summary: 'What was stored in conversations after given sequence numbers',
    payload: protobuf('im.rpc.CatchUpReq'),
    reply: protobuf('im.rpc.CatchUpResp'),
  }),
  custom: defineRequest('im.custom.{method...}', {
    direction: 'send',
    answers: 'one',
    summary:
      "A client's CustomRequest: headers Carillon-User, Carillon-Platform and Carillon-Device say who asks; " +
      "the answer's header Carillon-Code is the response's code",
    payload: binary('application/octet-stream'),
    reply: binary('application/octet-stream'),
  }),

  // Message service → gateways.
  pushUser: defineEvent('im.push.user.{userId}', {
    direction: 'send',
    summary: "A PushBody for all of a user's connections",
    payload: protobuf('im.PushBody'),
  }),
  pushConv: defineEvent('im.push.conv.{convId}', {
    direction: 'send',
    summary:
      "A PushBody for all connections of a conversation's members; header Carillon-Seq: its highest seq",
    payload: protobuf('im.PushBody'),
  }),
  members: defineEvent('im.members.{convId}', {
    direction: 'send',
    summary: "A change of a conversation's members, for every gateway",
    payload: protobuf('im.rpc.MembersChanged'),
  }),
  presence: defineRequest('im.presence.query', {
    direction: 'send',
    answers: 'every-instance',
    summary: 'Which of these users are connected to the gateway that answers',
    payload: protobuf('im.rpc.PresenceReq'),
    reply: protobuf('im.rpc.PresenceResp'),
  }),

  // Internal services → message service.
  convPut: defineRequest('im.conv.put', {
    ...serviceRequest,
    summary: 'Makes a conversation, or gives it exactly these members',
    payload: json(ConvMembers),
    reply: json(Outcome),
  }),
  convAddMembers: defineRequest('im.conv.add_members', {
    ...serviceRequest,
    summary: 'Adds members to a conversation; they see what is sent from then on',
    payload: json(ConvMembers),
    reply: json(Outcome),
  }),
  convRemoveMembers: defineRequest('im.conv.remove_members', {
    ...serviceRequest,
    summary: 'Removes members from a conversation',
    payload: json(ConvMembers),
    reply: json(Outcome),
  }),
  convGet: defineRequest('im.conv.get', {
    ...serviceRequest,
    summary: 'Who is a member of a conversation, and how far its sequence numbers have come',
    payload: json(ConvQuery),
    reply: json(ConvState),
  }),
  msgSend: defineRequest('im.msg.send', {
    ...serviceRequest,
    summary: 'Sends messages in the name of users: answered when they are stored',
    payload: json(ImSend),
    reply: json(ImSent),
  }),
  noticeSend: defineRequest('im.notice.send', {
    ...serviceRequest,
    summary: 'Sends a notice to users: answered when it is stored for each of them',
    payload: json(ImNotice),
    reply: json(ImNoticeSent),
  }),

  // Out, to internal services.
  online: defineEvent('im.session.{userId}.online', {
    direction: 'send',
    summary: 'A connection of a user was opened',
    payload: json(ImSession),
  }),
  offline: defineEvent('im.session.{userId}.offline', {
    direction: 'send',
    summary: 'A connection of a user has ended',
    payload: json(ImSession),
  }),
  offlinePush: defineEvent('im.offline_push.{userId}', {
    direction: 'send',
    summary: 'A message that asks for it found no connection of this user',
    payload: json(ImOfflinePush),
  }),
} as const
