import { type DeviceCredentials, parseDeviceSignature } from '@carillon/auth'
import { type CloseCode, gatewayCloseCodes, isObject, ProtocolError, socketIoEvent } from '@carillon/codec'
import { SERIAL_NO_PATTERN } from '@carillon/events'
import { parseRoom, type Room } from './room.ts'

/** The wire of campus-socketio, as PROTOCOL.md tells it. */

export type Command =
  | { readonly type: 'authenticate'; readonly credentials: DeviceCredentials }
  | { readonly type: 'join'; readonly room: Room; readonly ticket: string | undefined }
  | { readonly type: 'leave'; readonly room: Room }
  /** What a device in its own room answers to a remote command. */
  | { readonly type: 'command_result'; readonly result: string }

/** The events that clients emit, and the event that tells them of a failure. */
const failureEvents = {
  authentication: 'auth:fail',
  join_room: 'join_room:fail',
  leave_room: 'leave_room:fail',
  cmd_result: 'cmd_result:fail',
} as const
export type ClientEvent = keyof typeof failureEvents

/** What is wrong with what a client sent or asked for. The message goes to the client. */
export const errorCodes = {
  signature_invalid: 'the signature is not base64 of `serial_no:device_key`',
  signature_wrong: 'no such device, or not its key; the two are not told apart',
  other_device: 'the connection is authenticated as another device',
  too_many_failures: 'too many failed authentications from this address',
  invalid_room: 'the room has no name of those above',
  not_allowed: 'not a device of this room, and no valid ticket for it',
  too_many_rooms: 'the connection or the instance has as many rooms as allowed',
  not_joined: 'the connection is not in the room',
  invalid_result: '`cmd_result` needs a `result` that is a string',
  not_the_device: '`cmd_result` is for the device whose room it has joined',
  unknown_event: 'clients do not emit this event',
  malformed: 'the packet is no Socket.IO event or acknowledgement, is binary, or is for another namespace',
  packet_too_large: 'the packet has more bytes than allowed',
  rate_limited: 'more packets than allowed',
  unavailable: 'the instance has lost NATS; try again later',
} as const
export type ErrorCode = keyof typeof errorCodes

/** Why a connection is closed. `reconnect` says whether the client comes back by itself. */
export const closeCodes = {
  ...gatewayCloseCodes,
  /** Neither authenticated nor in a room when the time for it was over. */
  expired: { code: 4401, reason: 'not authenticated in time', reconnect: false },
  unavailable: { code: 1011, reason: 'temporarily unavailable', reconnect: true },
  removed: { code: 4404, reason: 'device removed', reconnect: false },
  authenticationFailures: { code: 4405, reason: 'too many failed authentications', reconnect: false },
  replaced: { code: 4409, reason: 'replaced by a newer connection', reconnect: false },
} as const satisfies Readonly<Record<string, CloseCode>>

const SERIAL_NO = new RegExp(SERIAL_NO_PATTERN)
const TICKET_LENGTH_MAX = 8_192

/** A client's event as a command. @throws {ProtocolError} that says what is wrong. */
export function parseEvent(name: unknown, args: readonly unknown[]): Command {
  const body = isObject(args[0]) ? args[0] : {}
  switch (name as ClientEvent) {
    case 'authentication':
      return { type: 'authenticate', credentials: parseCredentials(body.signature) }
    case 'join_room': {
      const { ticket } = body
      if (ticket !== undefined && (typeof ticket !== 'string' || ticket.length > TICKET_LENGTH_MAX))
        throw new ProtocolError<ErrorCode>('not_allowed', 'the ticket is not valid', 'join_room')
      return { type: 'join', room: parseRoomOf('join_room', body.room), ticket }
    }
    case 'leave_room':
      return { type: 'leave', room: parseRoomOf('leave_room', body.room) }
    case 'cmd_result':
      if (typeof body.result !== 'string')
        throw new ProtocolError<ErrorCode>('invalid_result', 'result must be a string', 'cmd_result')
      return { type: 'command_result', result: body.result }
    default:
      throw new ProtocolError<ErrorCode>('unknown_event', `unknown event ${printable(name)}`, printable(name))
  }
}

function parseCredentials(signature: unknown): DeviceCredentials {
  const credentials = typeof signature === 'string' ? parseDeviceSignature(signature) : undefined
  if (credentials === undefined || !SERIAL_NO.test(credentials.serialNo))
    throw new ProtocolError<ErrorCode>('signature_invalid', 'signature not valid.', 'authentication')
  return credentials
}

function parseRoomOf(event: ClientEvent, name: unknown): Room {
  const room = typeof name === 'string' ? parseRoom(name) : undefined
  if (room === undefined) throw new ProtocolError<ErrorCode>('invalid_room', 'unknown room', event)
  return room
}

const printable = (name: unknown) => (typeof name === 'string' ? name.slice(0, 64) : typeof name)

/** The failure of a client's event, in the form that the document gives it. */
export function errorFrame({ message, request }: ProtocolError): Buffer {
  const event = Object.hasOwn(failureEvents, request ?? '')
    ? failureEvents[request as ClientEvent]
    : 'protocol:fail'
  return encodeEvent(event, { error_msg: message, ...(event === 'protocol:fail' && { event: request }) })
}

/** What a client is told before its connection is closed. */
export function closeFrame({ code, reason, reconnect }: CloseCode): Buffer {
  return encodeEvent('connection:close', { code, reason, reconnect })
}

/** An event without a body is sent with no argument at all, as the document says of `auth:ok`. */
export function encodeEvent(event: string, body?: object): Buffer {
  return socketIoEvent(event, body === undefined ? undefined : Buffer.from(JSON.stringify(body)))
}
