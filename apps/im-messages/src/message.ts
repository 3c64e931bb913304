import { randomBytes } from 'node:crypto'
import { hasMistypedField, im, type WireTypes } from '@carillon/codec'
import { parseConversationId, serverMsgIdOf } from './conversation-id.ts'
import { limits } from './limits.ts'
import { badRequest } from './refusal.ts'

/** A message on its way in: checked, its sender known, without a place in its conversation. */
export interface IncomingMessage {
  readonly convId: string
  readonly senderId: string
  readonly clientMsgId: string
  /** Is it stored, with a sequence number, or only pushed to who is connected? */
  readonly stored: boolean
  readonly offlinePush: boolean
  /** MsgData as the client wrote it, unknown fields included, without what the server sets. */
  readonly body: Uint8Array
}

/** A message with its place. */
export interface StoredMessage {
  readonly convId: string
  readonly seq: number
  readonly serverTimeMs: number
  readonly body: Uint8Array
}

/** A message that has its place already; its bytes, unless there are too many to push them again. */
export type PlacedMessage = Omit<StoredMessage, 'body'> & { readonly body: Uint8Array | undefined }

/**
 * Checks what a client wrote, and takes out what the server sets. `data` is changed. A message without options is
 * an ordinary one: stored, and counted as unread.
 * @throws {Refusal}
 */
export function acceptMessage(
  data: im.MsgData.$Properties,
  senderId: string,
  nowMs: number,
): IncomingMessage {
  const convId = data.convId ?? ''
  const clientMsgId = data.clientMsgId ?? ''
  const conversation = parseConversationId(convId)
  if (conversation === undefined) throw badRequest('convId is not the id of a conversation')
  if (conversation.kind === 'notice') throw badRequest('a notice channel takes no messages')
  checkClientMsgId(clientMsgId)
  data.senderId = senderId
  data.options ??= im.MsgData.Options.create(ORDINARY)
  data.offlinePush ??= im.MsgData.OfflinePush.create()
  if (!/^\d{1,19}$/.test(data.clientTime ?? '')) data.clientTime = String(nowMs)
  const { storageForServer, offlinePush } = data.options
  const body = im.MsgData.encode(withoutServerFields(data)).finish()
  if (body.length > limits.messageBytesMax) {
    throw badRequest(`a message has more than ${limits.messageBytesMax} bytes`)
  }
  if (hasMistypedField(body, MSG_DATA)) throw badRequest('a field of a message has the wrong type')
  return {
    convId,
    senderId,
    clientMsgId,
    stored: storageForServer === true,
    offlinePush: offlinePush === true,
    body,
  }
}

const VARINT = 0
const LENGTH_DELIMITED = 2
const fields = (type: number | WireTypes, ...numbers: number[]) =>
  numbers.map((number) => [number, type] as const)
/** The wire types of MsgData in proto/client.proto. */
const MSG_DATA: WireTypes = new Map([
  ...fields(LENGTH_DELIMITED, 1, 2, 3, 4, 11, 12, 21, 22, 32, 33, 100),
  ...fields(VARINT, 31),
  ...fields(new Map(fields(VARINT, 1, 2, 3, 4, 5, 6)), 41),
  ...fields(new Map(fields(LENGTH_DELIMITED, 1, 2, 3)), 42),
])

const ORDINARY = {
  storageForServer: true,
  storageForClient: true,
  updateConvMsg: true,
  updateUnreadCount: true,
}

function checkClientMsgId(id: string): void {
  if (id === '') throw badRequest('clientMsgId is missing')
  if (Buffer.byteLength(id) > limits.clientMsgIdBytesMax) {
    throw badRequest(`clientMsgId has more than ${limits.clientMsgIdBytesMax} bytes`)
  }
  if (/\p{Cc}/u.test(id)) throw badRequest('clientMsgId holds control characters')
}

/** Own properties are what is encoded, empty ones too; inherited defaults are not. */
function withoutServerFields(data: im.MsgData.$Properties): im.MsgData.$Properties {
  for (const field of ['serverMsgId', 'serverTime', 'seq'] as const) delete data[field]
  return data
}

/** What the bytes of an accepted message say, for one that was stored until it is due. */
export function reopenMessage(body: Uint8Array): IncomingMessage {
  const { convId, senderId, clientMsgId, options } = im.MsgData.decode(body)
  return {
    convId,
    senderId,
    clientMsgId,
    stored: options?.storageForServer === true,
    offlinePush: options?.offlinePush === true,
    body,
  }
}

/** MsgData as clients get it. The server's fields follow what the client wrote: their order is of no meaning. */
export function printStored({ convId, seq, serverTimeMs, body }: StoredMessage): Uint8Array {
  return withServerFields(body, serverMsgIdOf(convId, seq), String(seq), serverTimeMs)
}

/** A message that is pushed and not stored has an id too, so that clients can tell doubles. */
export function printUnstored({ convId, body }: IncomingMessage, serverTimeMs: number): Uint8Array {
  return withServerFields(body, `${convId}-u${randomBytes(12).toString('hex')}`, '0', serverTimeMs)
}

function withServerFields(body: Uint8Array, serverMsgId: string, seq: string, serverTimeMs: number) {
  const own = im.MsgData.encode({ serverMsgId, seq, serverTime: String(serverTimeMs) }).finish()
  return Buffer.concat([body, own])
}

/** What stands for a message that is not there: clients parse its numbers and times. */
export function printPlaceholder(convId: string, seq: number): Uint8Array {
  return im.MsgData.encode({
    convId,
    seq: String(seq),
    serverMsgId: serverMsgIdOf(convId, seq),
    clientTime: '0',
    serverTime: '0',
    options: {},
    offlinePush: {},
  }).finish()
}
