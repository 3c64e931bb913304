import protobuf from 'protobufjs/minimal.js'
import { im } from '#im'
import { binaryFrame } from './frame.ts'

const VARINT = 0
const LENGTH_DELIMITED = 2
const tag = (field: number, wireType: number) => (field << 3) | wireType

/** A RequestBody as far as it could be read. */
export interface RequestEnvelope {
  readonly event: number
  /** As it came, so that it goes back the same. A copy: it outlives the frame. */
  readonly reqId: Uint8Array
  /** A view into the frame. */
  readonly data: Uint8Array
  /** false where the bytes break off, or are no protobuf message. */
  readonly complete: boolean
}

const NOTHING: Uint8Array = new Uint8Array()

/**
 * Reads a RequestBody from bytes that anybody may have written. What breaks off gives what came before, so that
 * the refusal can name its request. Never throws.
 */
export function readRequest(bytes: Uint8Array): RequestEnvelope {
  const reader = protobuf.Reader.create(bytes)
  let event = 0
  let reqId: Uint8Array = NOTHING
  let data: Uint8Array = NOTHING
  let complete = true
  try {
    while (reader.pos < reader.len) {
      const key = reader.uint32()
      if (key === tag(1, VARINT)) event = reader.int32()
      else if (key === tag(2, LENGTH_DELIMITED)) reqId = reader.bytes()
      else if (key === tag(3, LENGTH_DELIMITED)) data = reader.bytes()
      else if (key >>> 3 === 0) throw new RangeError('there is no field 0')
      else reader.skipType(key & 7)
    }
  } catch {
    complete = false
  }
  return { event, reqId: Uint8Array.from(reqId), data, complete }
}

/** A PushBody, or undefined where the bytes are none that a client would understand. */
export function readPush(
  bytes: Uint8Array,
): { readonly event: im.PushEvent; readonly data: Uint8Array } | undefined {
  try {
    const { event, data } = im.PushBody.decode(bytes)
    return im.PushEvent[event] === undefined ? undefined : { event, data }
  } catch {
    return undefined
  }
}

export interface ResponseEnvelope {
  readonly event: number
  readonly reqId: Uint8Array
  readonly code: im.ResponseBody.Code
  readonly data: Uint8Array
}

/** A PushBody with a ResponseBody, as a prepared WebSocket frame. */
export function responseFrame({ event, reqId, code, data }: ResponseEnvelope): Buffer {
  const writer = protobuf.Writer.create()
  writer.uint32(tag(1, VARINT)).int32(im.PushEvent.PushResponseBody)
  writer.uint32(tag(2, LENGTH_DELIMITED)).fork()
  if (event !== 0) writer.uint32(tag(1, VARINT)).int32(event)
  if (reqId.length > 0) writer.uint32(tag(2, LENGTH_DELIMITED)).bytes(reqId)
  if (code !== 0) writer.uint32(tag(3, VARINT)).int32(code)
  if (data.length > 0) writer.uint32(tag(4, LENGTH_DELIMITED)).bytes(data)
  return binaryFrame(writer.ldelim().finish())
}

/** A notice as it stands in a NoticeDataList. */
export interface NoticeEnvelope {
  readonly id: string
  readonly convId: string
  /** To be sent once, to who is online. */
  readonly once: boolean
  /** The encoded NoticeData, fields that are not known here included. */
  readonly bytes: Uint8Array
}

/** An encoded NoticeData, or undefined where the bytes are none, or it has no id. Copies the bytes. */
export function readNotice(bytes: Uint8Array): NoticeEnvelope | undefined {
  try {
    const { noticeId, convId, options } = im.NoticeData.decode(bytes)
    if (noticeId === '') return undefined
    return { id: noticeId, convId, once: options?.onlinePushOnce ?? false, bytes: Uint8Array.from(bytes) }
  } catch {
    return undefined
  }
}

/** The notices of a NoticeDataList, or undefined where one of them is none. */
export function readNotices(bytes: Uint8Array): NoticeEnvelope[] | undefined {
  const reader = protobuf.Reader.create(bytes)
  const notices: NoticeEnvelope[] = []
  try {
    while (reader.pos < reader.len) {
      const key = reader.uint32()
      if (key === tag(1, LENGTH_DELIMITED)) {
        const notice = readNotice(reader.bytes())
        if (notice === undefined) return undefined
        notices.push(notice)
      } else reader.skipType(key & 7)
    }
  } catch {
    return undefined
  }
  return notices
}
