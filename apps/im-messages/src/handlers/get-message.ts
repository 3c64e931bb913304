import { decodeProto, encodeList, im } from '@carillon/codec'
import type { Caller } from '../caller.ts'
import { parseConversationId, parseServerMsgId } from '../conversation-id.ts'
import type { Database } from '../database/database.ts'
import { limits } from '../limits.ts'
import { printStored, type StoredMessage } from '../message.ts'
import { badRequest, forbidden } from '../refusal.ts'
import { membershipsIn, messageByClientMsgId, messagesAt } from '../store/history.ts'

const MESSAGE_FIELD = 2
const NOTHING = im.GetMsgByIdResp.encode({}).finish()

/** GetMsgById: one message, or an answer without one where there is none. @throws {Refusal} */
export async function getMessage(database: Database, caller: Caller, data: Uint8Array): Promise<Uint8Array> {
  const request = data.length > 1_024 ? undefined : decodeProto(im.GetMsgByIdReq, data)
  if (request === undefined) throw badRequest('data is not a GetMsgByIdReq')
  const { serverMsgId, clientMsgId } = request
  const message = serverMsgId
    ? await byServerMsgId(database, caller, serverMsgId)
    : await byClientMsgId(database, caller, clientMsgId ?? '')
  return message === undefined ? NOTHING : encodeList(MESSAGE_FIELD, [printStored(message)])
}

async function byServerMsgId(
  database: Database,
  { userId }: Caller,
  serverMsgId: string,
): Promise<StoredMessage | undefined> {
  const place = parseServerMsgId(serverMsgId)
  if (place === undefined || parseConversationId(place.convId) === undefined) return undefined
  const { convId, seq } = place
  const membership = (await database.run((session) => membershipsIn(session, userId, [convId]))).get(convId)
  if (membership === undefined) throw forbidden(`not a member of ${convId}`)
  if (seq <= membership.minSeq) return undefined
  return (await database.run((session) => messagesAt(session, [place])))[0]
}

async function byClientMsgId(
  database: Database,
  { userId }: Caller,
  clientMsgId: string,
): Promise<StoredMessage | undefined> {
  if (clientMsgId === '') throw badRequest('serverMsgId or clientMsgId is needed')
  if (Buffer.byteLength(clientMsgId) > limits.clientMsgIdBytesMax || clientMsgId.includes('\0'))
    return undefined
  return database.run((session) => messageByClientMsgId(session, userId, clientMsgId))
}
