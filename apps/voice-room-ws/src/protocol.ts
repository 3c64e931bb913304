import { type Fields, parseFields } from '@carillon/auth'
import { gatewayCloseCodes, ProtocolError, textFrame } from '@carillon/codec'
import { idProblem } from '@carillon/events'
import { isReport, type ReportAction } from './notice.ts'

/** The wire of voice-room-ws, as PROTOCOL.md tells it. */

export type Command =
  | { readonly type: 'ping' }
  | {
      readonly type: 'report'
      readonly action: ReportAction
      readonly userId: string
      readonly channelName: string | undefined
    }

/** A command with what proves it: checked by the session. */
export interface SignedCommand {
  readonly action: string
  readonly command: Command
  readonly onlineToken: string
  readonly sid: string
  readonly timestampMs: number
  readonly fields: Fields
}

export const errorReasons = {
  not_an_object: 'the frame must be a JSON object of texts, numbers and booleans',
  unknown_action: 'action is unknown',
  invalid_field: 'a field is missing or not valid',
  bad_sign: 'sign is not valid',
  foreign_token: 'online_token is not that of this connection',
  foreign_sid: 'sid is not that of this connection',
  sid_expired: 'sid has expired',
  stale_timestamp: 'timestamp is too far from the time, or older than one before',
  not_in_room: 'the reporter is not in that room',
  frame_too_large: 'the frame is larger than it may be',
  binary_frame: 'frames must be text',
  malformed_frame: 'not a valid WebSocket frame',
  rate_limited: 'frames come too fast',
} as const

export type ErrorCode = keyof typeof errorReasons

export const closeCodes = {
  ...gatewayCloseCodes,
  expired: { code: 4401, reason: 'sid refused', reconnect: false },
  idle: { code: 4408, reason: 'heartbeat timeout', reconnect: true },
  refusals: { code: 4403, reason: 'three refused frames', reconnect: false },
  disconnected: { code: 4410, reason: 'disconnected', reconnect: false },
  replaced: { code: 4409, reason: 'replaced by a newer connection', reconnect: false },
  leaseLost: { code: 1012, reason: 'service restart', reconnect: true },
  unavailable: { code: 1013, reason: 'try again later', reconnect: true },
} as const

/** A client's frame as a command, its proofs not yet checked. @throws {ProtocolError} with one of {@link errorReasons}. */
export function parseCommand(text: string): SignedCommand {
  const fields = parseFields(text)
  if (fields === undefined) throw refusal('not_an_object', null)
  const action = textOf(fields, 'action')
  if (action === undefined || (action !== 'ping' && !isReport(action)))
    throw refusal('unknown_action', action?.slice(0, 64) ?? null)
  const invalid = (name: string) =>
    new ProtocolError('invalid_field', `${name} is missing or not valid`, action)
  const onlineToken = textOf(fields, 'online_token')
  if (onlineToken === undefined) throw invalid('online_token')
  const sid = textOf(fields, 'sid')
  if (sid === undefined) throw invalid('sid')
  if (textOf(fields, 'sign') === undefined) throw invalid('sign')
  const timestampMs = timestampOf(fields)
  if (timestampMs === undefined) throw invalid('timestamp')
  const proofs = { action, onlineToken, sid, timestampMs, fields }
  if (action === 'ping') return { ...proofs, command: { type: 'ping' } }
  const userId = idOf(fields, 'user_id')
  if (userId === undefined) throw invalid('user_id')
  const channelName = fields.has('channel_name') ? idOf(fields, 'channel_name') : undefined
  if (fields.has('channel_name') && channelName === undefined) throw invalid('channel_name')
  return { ...proofs, command: { type: 'report', action, userId, channelName } }
}

export function refusal(code: ErrorCode, request: string | null): ProtocolError<ErrorCode> {
  return new ProtocolError(code, errorReasons[code], request)
}

function textOf(fields: Fields, name: string): string | undefined {
  const value = fields.get(name)?.value
  return typeof value === 'string' ? value : undefined
}

function idOf(fields: Fields, name: string): string | undefined {
  const value = fields.get(name)?.value
  const isId = typeof value === 'string' || (typeof value === 'number' && Number.isSafeInteger(value))
  if (!isId || value === '' || idProblem(name, String(value)) !== undefined) return undefined
  return String(value)
}

/** Seconds or milliseconds, as a number or as digits: seconds have ten digits until the year 2286. */
function timestampOf(fields: Fields): number | undefined {
  const value = fields.get('timestamp')?.value
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : ''
  if (!/^\d{1,15}$/.test(text)) return undefined
  const number = Number(text)
  return number < 100_000_000_000 ? number * 1_000 : number
}

/** The first frame of a good connection. */
export function tokenFrame(onlineToken: string, pingIntervalS: number): Buffer {
  return textFrame(
    JSON.stringify({ action: 'create_token', online_token: onlineToken, ping_interval: pingIntervalS }),
  )
}

/** The first and last frame of a connection whose sid is refused. */
export function refusedFrame(reason: string): Buffer {
  return textFrame(JSON.stringify({ action: 'create_token', error_code: -1, error_reason: reason }))
}

export function errorFrame({ message, request }: ProtocolError): Buffer {
  return textFrame(
    JSON.stringify({ action: 'error', error_code: -1, error_reason: message, request_action: request ?? '' }),
  )
}
