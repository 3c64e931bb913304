import { ClientError } from '../core/errors.ts'
import { Pace } from '../core/pace.ts'
import { codes, events, messages, type RequestEvent } from './im.ts'
import { decode, encode } from './protobuf.ts'

export interface RequestOptions {
  /** Asked again after RetryError and over the next connection: nothing is done twice by it. */
  readonly idempotent: boolean
  /** Until when an answer is waited for, over all attempts. */
  readonly timeoutMs: number
}

interface Request {
  readonly event: RequestEvent
  readonly data: Uint8Array
  readonly options: RequestOptions
  readonly deadlineMs: number
  attempts: number
  resolve(data: Uint8Array): void
  reject(error: ClientError): void
}

/** Below the server's 32 of a connection. */
const IN_FLIGHT_MAX = 16
/** Below the server's 100 a second over a burst of 200. */
const [PER_SECOND, BURST] = [80, 100]
/** The server answers within 12 s. */
const ANSWER_TIMEOUT_MS = 20_000
const [RETRY_MS, RETRY_MS_MAX] = [500, 8_000]
const WAITING_MAX = 1_000

const names = Object.fromEntries(Object.entries(codes).map(([name, code]) => [code, name]))

/** Requests and their answers: some at a time, asked again where that is right, none without an end. */
export class Requests {
  readonly #send: (frame: Uint8Array<ArrayBuffer>) => void
  readonly #unanswered: () => void
  readonly #pace = new Pace(PER_SECOND, BURST)
  readonly #inFlight = new Map<
    string,
    { readonly request: Request; readonly timer: ReturnType<typeof setTimeout> }
  >()
  #waiting: Request[] = []
  /** To be asked again after a while. */
  readonly #pausing = new Map<Request, ReturnType<typeof setTimeout>>()
  #connected = false
  #closed = false
  #count = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /**
   * @param send throws where a frame cannot be sent now
   * @param unanswered the server, which answers everything, has not: the connection is dead
   */
  constructor(send: (frame: Uint8Array<ArrayBuffer>) => void, unanswered: () => void) {
    this.#send = send
    this.#unanswered = unanswered
  }

  /** The answer's data. @throws {ClientError} with the answer's code by name, or `unanswered` */
  ask(event: RequestEvent, data: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(closed())
      if (this.#waiting.length >= WAITING_MAX) {
        return reject(new ClientError('queue_full', `more than ${WAITING_MAX} requests wait`))
      }
      const deadlineMs = performance.now() + options.timeoutMs
      this.#waiting.push({ event, data, options, deadlineMs, attempts: 0, resolve, reject })
      this.#run()
    })
  }

  /** A connection is being made: what is asked may wait for it. */
  open(): void {
    this.#closed = false
  }

  connected(): void {
    this.#connected = true
    this.#run()
  }

  /** What can be asked again waits for the next connection. */
  lost(): void {
    this.#connected = false
    const requests = [...this.#inFlight.values()].map(({ request, timer }) => {
      clearTimeout(timer)
      return request
    })
    this.#inFlight.clear()
    this.#waiting.unshift(...requests.filter(({ options }) => options.idempotent))
    for (const request of requests) if (!request.options.idempotent) request.reject(unanswered())
    this.#run()
  }

  /** Nothing will be answered any more. */
  close(): void {
    this.#closed = true
    this.lost()
    clearTimeout(this.#timer)
    for (const timer of this.#pausing.values()) clearTimeout(timer)
    for (const request of [...this.#waiting.splice(0), ...this.#pausing.keys()]) request.reject(closed())
    this.#pausing.clear()
  }

  /** A ResponseBody. @throws if the bytes are none. */
  answered(bytes: Uint8Array): void {
    const { reqId, code, data } = decode(messages.ResponseBody, bytes) as Record<'reqId', string> &
      Record<'code', number> &
      Record<'data', Uint8Array>
    const found = this.#inFlight.get(reqId)
    if (found === undefined) return
    clearTimeout(found.timer)
    this.#inFlight.delete(reqId)
    const { request } = found
    if (code === codes.Success) request.resolve(data)
    else if (code === codes.RetryError && request.options.idempotent) this.#again(request)
    else request.reject(new ClientError(names[code] ?? 'UnknownError', reasonOf(data)))
    this.#run()
  }

  #again(request: Request): void {
    const delayMs = Math.random() * Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(request.attempts, 10))
    const timer = setTimeout(() => {
      this.#pausing.delete(request)
      this.#waiting.unshift(request)
      this.#run()
    }, delayMs)
    this.#pausing.set(request, timer)
  }

  #run(): void {
    clearTimeout(this.#timer)
    const nowMs = performance.now()
    for (const request of this.#waiting) if (request.deadlineMs <= nowMs) request.reject(unanswered())
    this.#waiting = this.#waiting.filter(({ deadlineMs }) => deadlineMs > nowMs)
    let delayMs = Math.min(...this.#waiting.map(({ deadlineMs }) => deadlineMs - nowMs))
    while (this.#connected && this.#waiting.length > 0 && this.#inFlight.size < IN_FLIGHT_MAX) {
      const paceMs = this.#pace.take(nowMs)
      const failed = paceMs === 0 && !this.#try(this.#waiting[0] as Request)
      if (paceMs > 0 || failed) {
        delayMs = Math.min(delayMs, paceMs || RETRY_MS)
        break
      }
      this.#waiting.shift()
    }
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#run(), Math.max(1, delayMs))
  }

  #try(request: Request): boolean {
    const reqId = String(++this.#count)
    const { data } = request
    try {
      this.#send(encode(messages.RequestBody, { event: events[request.event], reqId, data }))
    } catch {
      return false
    }
    request.attempts += 1
    this.#inFlight.set(reqId, { request, timer: setTimeout(this.#unanswered, ANSWER_TIMEOUT_MS) })
    return true
  }
}

const closed = () => new ClientError('closed', 'the client is closed')
const unanswered = () =>
  new ClientError('unanswered', 'the request was not answered; it may have been carried out')

function reasonOf(data: Uint8Array): string {
  try {
    const { commonResp } = decode(messages.ErrorResp, data) as { commonResp?: { msg: string } }
    return commonResp?.msg || 'the server gave no reason'
  } catch {
    return 'the server gave no reason'
  }
}
