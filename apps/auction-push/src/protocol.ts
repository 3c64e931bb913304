import { isObject, ProtocolError, parseJsonObject, spliceTextFrame, textFrame } from '@carillon/codec'
import { type AuctionEvent, auction, Id } from '@carillon/events'
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'

/** The wire of auction-push, as PROTOCOL.md tells it. */

/** One auction's event, as a client follows it. */
export interface Subscription {
  readonly event: AuctionEvent
  readonly auctionId: string
}

export type Command =
  | (Subscription & { readonly type: 'subscribe'; readonly single: boolean; readonly recover: boolean })
  | (Subscription & { readonly type: 'cancel' })

export const errorCodes = {
  malformed_json: 'The frame is not JSON.',
  not_an_object: 'The frame is JSON, but no object.',
  unknown_key: '`key` is none of the two commands.',
  unknown_event: '`event` is none of the four events.',
  invalid_auction_id: '`auctionId` is no non-negative integer.',
  invalid_data: '`data` is not as the command needs it.',
  too_many_subscriptions: 'The connection, the user or the instance follows as much as it may.',
  frame_too_large: 'The frame is larger than it may be.',
  binary_frame: 'The frame is binary.',
  malformed_frame: 'The frame breaks the WebSocket protocol; the connection is closed.',
  too_many_fragments: 'The message came in too many pieces; the connection is closed.',
  unfinished_message:
    'A message was not completed in time, or too many are unfinished; the connection is closed.',
  rate_limited: 'Frames come too fast; this one was not looked at.',
} as const

export type ErrorCode = keyof typeof errorCodes

export { gatewayCloseCodes as closeCodes } from '@carillon/codec'

const events = Object.keys(auction) as AuctionEvent[]
/** Canonical, so that one auction has one name: no sign, no leading zero, within what JSON numbers hold. */
const AUCTION_ID = '^(0|[1-9][0-9]{0,15})$'

const Data = Type.Object({
  event: Type.Unsafe<AuctionEvent>({ type: 'string', enum: events }),
  auctionId: Type.Union([Type.String({ pattern: AUCTION_ID }), Id]),
  single: Type.Optional(Type.Boolean()),
  recover: Type.Optional(Type.Boolean()),
})
const data = Compile(Data)

const wrongField: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  '/event': ['unknown_event', `event must be one of ${events.join(', ')}`],
  '/auctionId': ['invalid_auction_id', 'auctionId must be a non-negative integer'],
}

/** A client's frame as a command. @throws {ProtocolError} with one of {@link errorCodes}. */
export function parseCommand(text: string): Command {
  const frame = parseJsonObject(text)
  if (frame === undefined) throw notAnObject(text)
  const key = typeof frame.key === 'string' && frame.key.length <= 64 ? frame.key : null
  if (key !== 'auction_subscribe' && key !== 'auction_cancel_subscribe') {
    throw error('unknown_key', 'key must be auction_subscribe or auction_cancel_subscribe', key)
  }
  if (!isObject(frame.data)) throw error('invalid_data', 'data must be an object', key)
  if (!data.Check(frame.data)) throw wrongData(frame.data, key)
  const { event, auctionId, single = false, recover = false } = frame.data as Static<typeof Data>
  const subscription = { event, auctionId: String(auctionId) }
  if (key === 'auction_cancel_subscribe') return { type: 'cancel', ...subscription }
  return { type: 'subscribe', ...subscription, single, recover }
}

function notAnObject(text: string): ProtocolError<ErrorCode> {
  try {
    JSON.parse(text)
  } catch {
    return error('malformed_json', 'the frame is not JSON', null)
  }
  return error('not_an_object', 'the frame must be a JSON object', null)
}

function wrongData(value: unknown, key: string): ProtocolError<ErrorCode> {
  const first = data.Errors(value)[0]
  // A missing field is reported at the object that lacks it.
  const missing = first?.keyword === 'required' ? first.params.requiredProperties[0] : undefined
  const path = missing === undefined ? (first?.instancePath ?? '') : `/${missing}`
  const [code, message] = wrongField[path] ?? [
    'invalid_data',
    `data${path} ${first?.message ?? 'is not valid'}`,
  ]
  return error(code, message, key)
}

function error(code: ErrorCode, message: string, key: string | null): ProtocolError<ErrorCode> {
  return new ProtocolError(code, message, key)
}

/** The answer to every valid command: this text, and no JSON. */
export const SUCCESS = textFrame('success')

/** `{"data":{"code":…,"message":…,"key":…},"event":"error"}` */
export function errorFrame({ code, message, request }: ProtocolError): Buffer {
  return textFrame(JSON.stringify({ data: { code, message, key: request }, event: 'error' }))
}

const PREFIX = Buffer.from('{"data":')
const suffixes = new Map(events.map((event) => [event, Buffer.from(`,"event":"${event}"}`)]))

/** A push: the publisher's own bytes, checked before, between the envelope's two halves. */
export function pushFrame(event: AuctionEvent, payload: Uint8Array): Buffer {
  return spliceTextFrame(PREFIX, payload, suffixes.get(event) as Buffer)
}
