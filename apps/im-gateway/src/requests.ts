import { type Bus, BusUnavailable, NoResponders, PayloadTooLarge, RequestTimeout } from '@carillon/bus'
import { im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import type { Logger } from '@carillon/service'
import { traceClient } from '@carillon/tracing'
import type { Client } from './client.ts'
import type { ImLimits } from './limits.ts'
import { BadAnswer, type MessageService } from './message-service.ts'
import type { NoticeAck } from './notice-delivery.ts'
import {
  answerFrame,
  Code,
  parseRequest,
  type RefusalName,
  type Request,
  RequestRefused,
  refusalFrame,
  refusals,
} from './protocol.ts'
import { RequestBudget } from './request-budget.ts'
import type { User } from './users.ts'

export interface RequestsOptions {
  readonly bus: Bus
  readonly messages: MessageService
  readonly limits: ImLimits
  readonly customTimeoutMs: number
  readonly log: Logger
  /** A device's acknowledgement of a notice is stored. */
  readonly acknowledged: (client: Client, ack: NoticeAck) => void
  /** For the metrics. */
  readonly answered: (event: string, code: string, durationMs: number) => void
}

/** Response codes of an answer that travels in a header. */
const CODE_HEADER = 'Carillon-Code'

/** Clients' requests under way: each is answered once, in the order in which the answers come. */
export class Requests {
  readonly #options: RequestsOptions
  readonly #total = new RequestBudget()

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /** How many are under way. */
  get size(): number {
    return this.#total.count
  }

  /** Takes a client's frame. @throws {RequestRefused} where nobody is asked. */
  receive(user: User, client: Client, frame: Uint8Array): void {
    const { limits } = this.#options
    const request = parseRequest(frame, limits)
    const bytes = frame.length
    const budgets = [
      [client.requests, limits.requests.connection],
      [user.requests, limits.requests.user],
      [this.#total, limits.requests.total],
    ] as const
    if (!budgets.every(([budget, limit]) => budget.hasRoom(bytes, limit)))
      throw new RequestRefused('too_many_requests', request)
    for (const [budget] of budgets) budget.take(bytes)
    const startedAtMs = performance.now()
    const event = request.type === 'message' ? request.name : 'CustomRequest'
    void traceClient(`request ${event}`, async () => {
      const { frame, code } = await this.#answer(client, request)
      for (const [budget] of budgets) budget.release(bytes)
      this.#options.answered(event, Code[code] ?? 'unknown', performance.now() - startedAtMs)
      client.connection.send(frame)
    })
  }

  /** Never throws: what goes wrong is a coded answer as well. */
  async #answer(client: Client, request: Request): Promise<{ readonly frame: Buffer; readonly code: Code }> {
    try {
      const { code, data } =
        request.type === 'message' ? await this.#ask(client, request) : await this.#custom(client, request)
      if (Code[code] === undefined) return this.#refusal(request, 'unknown_code')
      return { code, frame: answerFrame(request, code, data) }
    } catch (error) {
      return this.#refusal(request, this.#nameOf(error, request))
    }
  }

  async #ask(client: Client, request: Request & { readonly type: 'message' }) {
    const { messages, acknowledged } = this.#options
    const ack = request.name === 'AckNotice' ? ackOf(request.data) : undefined
    const answer = await messages.ask(request.name, client.identity, request.data)
    if (ack !== undefined && answer.code === Code.Success) acknowledged(client, ack)
    return answer
  }

  async #custom(client: Client, { method, data }: Request & { readonly type: 'custom' }) {
    const { bus, customTimeoutMs } = this.#options
    const { userId, platform, deviceId } = client.identity
    const { payload, header } = await bus.requestWithHeaders(im.custom, { method }, data, {
      timeoutMs: customTimeoutMs,
      headers: { 'Carillon-User': userId, 'Carillon-Platform': platform, 'Carillon-Device': deviceId },
    })
    return { code: codeOf(header(CODE_HEADER)), data: payload }
  }

  #refusal(request: Request, name: RefusalName) {
    return { code: refusals[name].code, frame: refusalFrame(request, name) }
  }

  #nameOf(error: unknown, { type }: Request): RefusalName {
    if (error instanceof PayloadTooLarge) return 'frame_too_large'
    if (error instanceof NoResponders && type === 'custom') return 'unknown_method'
    if ([BusUnavailable, NoResponders, RequestTimeout].some((known) => error instanceof known)) {
      return 'unavailable'
    }
    this.#options.log.error({ err: error }, 'a request failed')
    // What went wrong on the way: to ask the message service again is always safe.
    return type === 'message' && !(error instanceof BadAnswer) ? 'unavailable' : 'failed'
  }
}

/** Which notice is acknowledged; undefined where the message service will say what is wrong. */
function ackOf(data: Uint8Array): NoticeAck | undefined {
  try {
    const { noticeId, convId } = proto.AckNoticeDataReq.decode(data)
    return { id: noticeId, convId }
  } catch {
    return undefined
  }
}

/** A code as text; 0 without one. What is no number becomes one that no code has. */
function codeOf(text: string | undefined): Code {
  if (text === undefined) return Code.Success
  return /^\d{1,9}$/.test(text) ? (Number(text) as Code) : (-1 as Code)
}
