import { decodeProto, encodeList, im, LIST_ITEM_OVERHEAD_BYTES } from '@carillon/codec'
import type { Caller } from '../caller.ts'
import { parseConversationId, parseSeq } from '../conversation-id.ts'
import type { Database } from '../database/database.ts'
import { limits } from '../limits.ts'
import { printPlaceholder, printStored } from '../message.ts'
import { badRequest, forbidden } from '../refusal.ts'
import { firstMessagesAt, membershipsIn, type Place } from '../store/history.ts'

const MESSAGES_FIELD = 2

/**
 * SyncMsgList: the messages that stand at the asked places, by sequence number from the highest down. What is not
 * there, or was sent before the user joined, is a placeholder. When they are too large for one answer, the last ones
 * are left out: a client asks again for those. @throws {Refusal}
 */
export async function syncMessages(
  database: Database,
  { userId }: Caller,
  data: Uint8Array,
): Promise<Uint8Array> {
  const places = parsePlaces(data)
  const convIds = [...new Set(places.map((place) => place.convId))]
  const known = await database.run((session) => membershipsIn(session, userId, convIds))
  const stranger = convIds.find((convId) => !known.has(convId))
  if (stranger !== undefined) throw forbidden(`not a member of ${stranger}`)
  const visible = places.filter(({ convId, seq }) => seq > (known.get(convId)?.minSeq ?? 0))
  const found = await database.run((session) =>
    // What does not fit into the answer is asked for again.
    firstMessagesAt(session, visible, limits.answerBytesMax),
  )
  const byPlace = new Map(found.map((message) => [`${message.seq} ${message.convId}`, message]))
  const answers = places.map((place) => {
    const message = byPlace.get(`${place.seq} ${place.convId}`)
    return message === undefined ? printPlaceholder(place.convId, place.seq) : printStored(message)
  })
  return encodeList(MESSAGES_FIELD, firstBytes(answers, limits.answerBytesMax))
}

/** The asked places, each once, by sequence number from the highest down. @throws {Refusal} */
export function parsePlaces(data: Uint8Array): Place[] {
  const tooMany = () => badRequest(`more than ${limits.syncMessagesMax} messages at once`)
  // The longest request that is allowed; a longer one need not be decoded.
  if (data.length > limits.syncMessagesMax * 256) throw tooMany()
  const request = decodeProto(im.BatchGetMsgListByConvIdReq, data)
  if (request === undefined) throw badRequest('data is not a BatchGetMsgListByConvIdReq')
  const places = new Map<string, Place>()
  let asked = 0
  for (const { convId, seqList } of request.items) {
    const conversation = parseConversationId(convId ?? '')
    if (conversation === undefined) throw badRequest('convId is not the id of a conversation')
    asked += seqList?.length ?? 0
    if (asked > limits.syncMessagesMax) throw tooMany()
    for (const text of seqList ?? []) {
      const seq = parseSeq(text)
      if (seq === undefined) throw badRequest('a seq is not a number')
      places.set(`${seq} ${convId}`, { convId: convId ?? '', seq })
    }
  }
  return [...places.values()].sort((a, b) => b.seq - a.seq)
}

/** As many items from the front as fit, at least one. */
export function firstBytes(items: readonly Uint8Array[], bytesMax: number): readonly Uint8Array[] {
  let bytes = 0
  const end = items.findIndex((item, i) => {
    bytes += item.length + LIST_ITEM_OVERHEAD_BYTES
    return i > 0 && bytes > bytesMax
  })
  return end < 0 ? items : items.slice(0, end)
}
