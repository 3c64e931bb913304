import {
  encodeError,
  gatewayCloseCodes,
  im,
  ProtocolError,
  type RequestEnvelope,
  readRequest,
  responseFrame,
  textFrame,
} from '@carillon/codec'
import { parseCustomMethod } from './custom-method.ts'
import type { ImLimits } from './limits.ts'

/** The wire of im-gateway, as PROTOCOL.md tells it. */

export const { ActiveEvent } = im
export const { Code } = im.ResponseBody
export type Code = im.ResponseBody.Code

/** What a request is answered to. */
export interface RequestIdentity {
  readonly event: number
  readonly reqId: Uint8Array
}

/** The events that the message service answers. */
export type MessageEvent = 'SendMsgList' | 'SyncConvSeq' | 'SyncMsgList' | 'AckNotice' | 'GetMsgById'

/** `data` is a view into the client's frame. */
export type Request = RequestIdentity & { readonly data: Uint8Array } & (
    | { readonly type: 'message'; readonly name: MessageEvent }
    | { readonly type: 'custom'; readonly method: string }
  )

interface Refusal {
  readonly code: Code
  /** In CommonResp, for the user. */
  readonly reason: string
  /** A mistake of the client's: too many of them close the connection. */
  readonly counts: boolean
}

/** Why a request is refused by the gateway itself. */
export const refusals = {
  malformed_body: { code: Code.RequestError, reason: 'the frame is no RequestBody', counts: true },
  missing_req_id: { code: Code.RequestError, reason: 'reqId is empty', counts: true },
  invalid_req_id: { code: Code.RequestError, reason: 'reqId is too long or not UTF-8', counts: true },
  unknown_event: { code: Code.RequestError, reason: 'event is none of the six', counts: true },
  malformed_custom_request: { code: Code.RequestError, reason: 'data is no CustomRequestBody', counts: true },
  invalid_method: {
    code: Code.RequestError,
    reason: 'method is no path that a request can be sent to',
    counts: true,
  },
  unknown_method: { code: Code.RequestError, reason: 'nobody serves this method', counts: false },
  frame_too_large: { code: Code.RequestError, reason: 'the frame is larger than it may be', counts: true },
  malformed_frame: {
    code: Code.RequestError,
    reason: 'the frame breaks the WebSocket protocol',
    counts: true,
  },
  rate_limited: {
    code: Code.RetryError,
    reason: 'frames come too fast; this one was not looked at',
    counts: true,
  },
  too_many_requests: { code: Code.RetryError, reason: 'too many requests are under way', counts: false },
  unavailable: { code: Code.RetryError, reason: 'the service did not answer in time', counts: false },
  failed: { code: Code.InternalError, reason: 'the request could not be handled', counts: false },
  unknown_code: {
    code: Code.UnknownError,
    reason: 'the service answered with an unknown code',
    counts: false,
  },
} as const satisfies Readonly<Record<string, Refusal>>

/** What CommonResp says where a service answers with a code and nothing else. */
export const NO_REASON = 'the service gave no reason'

export type RefusalName = keyof typeof refusals

const NO_REQ_ID = new Uint8Array()

/** A frame that is refused before anybody is asked. */
export class RequestRefused extends ProtocolError<RefusalName> {
  readonly to: RequestIdentity

  constructor(code: RefusalName, to: RequestIdentity) {
    super(code, refusals[code].reason)
    // A response whose reqId is not UTF-8 could not be decoded.
    this.to = isUtf8(to.reqId) ? to : { event: to.event, reqId: NO_REQ_ID }
  }

  override get violation(): boolean {
    return refusals[this.code].counts
  }
}

const messageEvents: ReadonlyMap<number, MessageEvent> = new Map([
  [ActiveEvent.SendMsgList, 'SendMsgList'],
  [ActiveEvent.SyncConvSeq, 'SyncConvSeq'],
  [ActiveEvent.SyncMsgList, 'SyncMsgList'],
  [ActiveEvent.AckNotice, 'AckNotice'],
  [ActiveEvent.GetMsgById, 'GetMsgById'],
])

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** A client's frame as a request. @throws {RequestRefused} that names the request as far as it could be read. */
export function parseRequest(frame: Uint8Array, limits: ImLimits): Request {
  const envelope = readRequest(frame)
  const { event, reqId, data, complete } = envelope
  if (!complete) throw new RequestRefused('malformed_body', envelope)
  if (reqId.length === 0) throw new RequestRefused('missing_req_id', envelope)
  if (reqId.length > limits.reqIdBytesMax || !isUtf8(reqId))
    throw new RequestRefused('invalid_req_id', envelope)
  const name = messageEvents.get(event)
  if (name !== undefined) return { type: 'message', name, event, reqId, data }
  if (event === ActiveEvent.CustomRequest) return parseCustomRequest(envelope, limits)
  throw new RequestRefused('unknown_event', envelope)
}

function parseCustomRequest({ event, reqId, data: body }: RequestEnvelope, limits: ImLimits): Request {
  let custom: im.CustomRequestBody
  try {
    custom = im.CustomRequestBody.decode(body)
  } catch {
    throw new RequestRefused('malformed_custom_request', { event, reqId })
  }
  const method = parseCustomMethod(custom.method, limits.methodBytesMax)
  if (method === undefined) throw new RequestRefused('invalid_method', { event, reqId })
  return { type: 'custom', method, event, reqId, data: custom.data }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    utf8.decode(bytes)
    return true
  } catch {
    return false
  }
}

/** The first frame of every connection that is let in: text. */
export const CONNECTED = textFrame('connected')

const NOBODY: RequestIdentity = { event: 0, reqId: NO_REQ_ID }

/** A refusal as the response to its request; to none where the request could not be made out. */
export function errorFrame(error: ProtocolError): Buffer {
  const to = error instanceof RequestRefused ? error.to : NOBODY
  return refusalFrame(to, isRefusal(error.code) ? error.code : 'failed')
}

/** A refusal as a response: `data` is a message whose field 1 is CommonResp. */
export function refusalFrame({ event, reqId }: RequestIdentity, name: RefusalName): Buffer {
  const { code, reason } = refusals[name]
  return responseFrame({ event, reqId, code, data: encodeError(code, reason) })
}

/** A service's answer as a response; with a code but no data, the reason is filled in. */
export function answerFrame({ event, reqId }: RequestIdentity, code: Code, data: Uint8Array): Buffer {
  const complete = code === Code.Success || data.length > 0
  return responseFrame({
    event,
    reqId,
    code,
    data: complete ? data : encodeError(code, NO_REASON),
  })
}

function isRefusal(code: string): code is RefusalName {
  return Object.hasOwn(refusals, code)
}

export const closeCodes = {
  ...gatewayCloseCodes,
  /** The document's: the client shows its login page. The reason says what is wrong. */
  unauthenticated: { code: 3000, reason: 'authentication failed', reconnect: false },
  expired: { code: 3000, reason: 'token expired', reconnect: false },
  /** The same device has connected again. */
  replaced: { code: 1000, reason: 'duplicate connection', reconnect: false },
  /** Somebody this needs does not answer: the token's keys, or the message service. */
  unavailable: { code: 1013, reason: 'try again later', reconnect: true },
  tooMany: { code: 4429, reason: 'too many connections', reconnect: false },
} as const
