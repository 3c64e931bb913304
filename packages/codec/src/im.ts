import protobuf from 'protobufjs/minimal.js'
import { im } from '#im'

/** The IM messages, generated from proto/ by this package's build. */
export { im }

interface Decoder<T> {
  decode(reader: protobuf.Reader): T
}

/**
 * A message from bytes that anybody may have written, or undefined where they are none. Fields that this version
 * does not know are kept, in nested messages too, and are written again when the message is encoded.
 */
export function decodeProto<T>(type: Decoder<T>, bytes: Uint8Array): T | undefined {
  const reader = protobuf.Reader.create(bytes)
  reader.discardUnknown = false
  try {
    return type.decode(reader)
  } catch {
    return undefined
  }
}

/**
 * How often a field stands in a message's bytes, without decoding it: a list of a million empty items is small as
 * bytes and large as objects. What is no message counts up to where it breaks off.
 */
export function countField(bytes: Uint8Array, field: number): number {
  const reader = protobuf.Reader.create(bytes)
  let count = 0
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32()
      if (tag >>> 3 === field) count += 1
      reader.skipType(tag & 7)
    }
  } catch {
    // Decoding tells.
  }
  return count
}

/** Wire types of a message's fields by number; of a nested message, those of its own fields. */
export type WireTypes = ReadonlyMap<number, number | WireTypes>

/**
 * Whether a message has a field under a known number with another type than that field's. Such a field counts as
 * unknown and is kept, but not every implementation passes over it: some read it as what it should be, and cannot
 * read the message.
 */
export function hasMistypedField(bytes: Uint8Array, types: WireTypes): boolean {
  const reader = protobuf.Reader.create(bytes)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    const type = types.get(tag >>> 3)
    const nested = typeof type === 'object'
    if (type !== undefined && (tag & 7) !== (nested ? LENGTH_DELIMITED : type)) return true
    if (!nested) reader.skipType(tag & 7)
    else if (hasMistypedField(reader.bytes(), type)) return true
  }
  return false
}

const LENGTH_DELIMITED = 2

/** The bytes of a message whose repeated field `field` holds these messages, which are encoded already. */
export function encodeList(field: number, items: Iterable<Uint8Array>): Uint8Array {
  const writer = protobuf.Writer.create()
  for (const item of items) writer.uint32((field << 3) | LENGTH_DELIMITED).bytes(item)
  return writer.finish()
}

/** What an item of {@link encodeList} takes beside its own bytes, at most, for fields below 16. */
export const LIST_ITEM_OVERHEAD_BYTES = 6

/** A PushBody around data that is encoded already. */
export function encodePush(event: im.PushEvent, data: Uint8Array): Uint8Array {
  return im.PushBody.encode({ event, data }).finish()
}

/** Pushes messages: each one an encoded MsgData. */
export function encodeMessagePush(messages: Iterable<Uint8Array>): Uint8Array {
  return encodePush(im.PushEvent.PushMsgDataList, encodeList(1, messages))
}

/** Pushes notices: each one an encoded NoticeData. */
export function encodeNoticePush(notices: Iterable<Uint8Array>): Uint8Array {
  return encodePush(im.PushEvent.PushNoticeDataList, encodeList(1, notices))
}

/** The data of a response whose code is not Success: the reason stands in field 1, whatever the event. */
export function encodeError(code: im.ResponseBody.Code, reason: string): Uint8Array {
  return im.ErrorResp.encode({ commonResp: { code, msg: reason } }).finish()
}
