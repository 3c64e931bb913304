import { type BackOff, defaultBackOff } from './back-off.ts'
import type { CloseCodes, CloseInfo } from './close-code.ts'
import { Emitter } from './emitter.ts'
import { type Endpoint, findEndpoint } from './endpoint.ts'
import { ClientError, messageOf } from './errors.ts'
import { alarmAtMs, type Effect, IDLE, type Input, type Lifecycle, type Policy, step } from './lifecycle.ts'
import { findWebSocket, type WebSocketConstructor, type WebSocketLike } from './web-socket.ts'

export interface ClientOptions {
  /** The service's base URL, without a path; or where to ask for it. */
  readonly endpoint: Endpoint
  /** The credential, asked for anew at each attempt to connect, so that it may be one that has just been issued. */
  readonly token: () => string | Promise<string>
  /** Default: the environment's own. Node before 22 has none: pass that of `ws`. */
  readonly WebSocket?: WebSocketConstructor
  readonly reconnect?: Partial<BackOff>
  /** For the endpoint, the token, the socket and the protocol's greeting together. Default 15000. */
  readonly connectTimeoutMs?: number
  /** Bytes that may wait in the socket before {@link ClientError} `send_buffer_full`. Default 1 MiB. */
  readonly sendBufferBytesMax?: number
}

export type ConnectionState =
  | { readonly type: 'idle' }
  | { readonly type: 'connecting' }
  | { readonly type: 'open' }
  /** The connection ended, or could not be opened: the next attempt follows by itself. */
  | { readonly type: 'waiting'; readonly close: CloseInfo }
  /** Nothing follows by itself; `connect()` begins again. */
  | { readonly type: 'closed'; readonly close: CloseInfo }

export interface ConnectionEvents {
  readonly state: ConnectionState
  /** What went wrong on the way, and what the server refused. */
  readonly error: ClientError
  /** Every frame as it passes, for those who want to look. */
  readonly frame: { readonly direction: 'in' | 'out'; readonly data: string | Uint8Array }
}

/** What one protocol says about its connections. */
export interface ProtocolInfo {
  /** Discovery's name of the service. */
  readonly service: string
  readonly closeCodes: CloseCodes
}

const CONNECT_TIMEOUT_MS = 15_000

/**
 * One connection that comes back by itself. The protocols' classes add what is said over it: the hooks below are called
 * in the order `opened`, `received` …, `lost`, for each connection anew.
 */
export abstract class Client<Events extends ConnectionEvents> extends Emitter<Events> {
  readonly #options: ClientOptions
  readonly #info: ProtocolInfo
  #life: Lifecycle = IDLE
  #socket: WebSocketLike | undefined
  /** `opened` was called, and `lost` was not yet. */
  #socketOpen = false
  /** Ends what is asked for one attempt, and tells it from later ones. */
  #attempt = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: ClientOptions, info: ProtocolInfo) {
    super()
    this.#options = options
    this.#info = info
  }

  get state(): ConnectionState {
    const life = this.#life
    return life.type === 'waiting' || life.type === 'closed'
      ? { type: life.type, close: life.close }
      : { type: life.type }
  }

  /**
   * Connects, and stays connected until {@link close}. Settles when the connection stands, however many attempts that
   * takes. @throws {ClientError} `closed`, where the close code or the number of attempts ends it.
   */
  connect(): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      const settle = (state: ConnectionState): void => {
        if (state.type !== 'open' && state.type !== 'closed') return
        stop()
        if (state.type === 'open') resolve()
        else reject(new ClientError('closed', `${state.close.code} ${state.close.reason}`))
      }
      this.#input({ type: 'connect' })
      const stop = this.on('state', settle as (state: Events['state']) => void)
      settle(this.state)
    })
    // The state tells it too: who does not wait for the promise need not catch it.
    settled.catch(() => {})
    return settled
  }

  /**
   * Drops the connection and opens another one now: when the network has changed, or is back. Before `connect()` and
   * after the end it does nothing.
   */
  reconnect(): void {
    this.#input({ type: 'reconnect' })
  }

  /** Closes the connection for good, and ends every iterator. */
  close(code = 1000, reason = ''): void {
    this.#input({ type: 'close', code, reason })
  }

  // What a protocol adds.

  /** @throws {ClientError} `no_web_socket` */
  protected createSocket(url: string): WebSocketLike {
    return new (findWebSocket(this.#options.WebSocket))(url)
  }

  protected abstract url(base: string, token: string): string
  /** The socket is open. A protocol without a greeting calls {@link ready}. */
  protected abstract opened(): void
  protected abstract received(data: string | Uint8Array): void
  /** The connection has ended; the next one begins from nothing. */
  protected abstract lost(): void
  /** It is over: subscriptions end. */
  protected abstract ended(error: ClientError | undefined): void
  /** Between two calls of {@link heartbeat}, where the server waits for signs of life. */
  protected heartbeatMs(): number {
    return Infinity
  }
  protected heartbeat(): void {}
  /** A connection over which nothing came for as long is taken for dead. */
  protected silenceMs(): number {
    return Infinity
  }

  // What it uses for that.

  /** From here on the application may use the connection. */
  protected ready(): void {
    this.#input({ type: 'ready' })
  }

  /** @throws {ClientError} `not_connected` or `send_buffer_full`: the frame was not sent. */
  protected send(data: string | Uint8Array<ArrayBuffer>): void {
    const socket = this.#socket
    if (socket?.readyState !== 1) throw new ClientError('not_connected', 'the connection is not open')
    const { sendBufferBytesMax = 1_048_576 } = this.#options
    const { length: bytes } = typeof data === 'string' ? new TextEncoder().encode(data) : data
    if (socket.bufferedAmount + bytes > sendBufferBytesMax) {
      throw new ClientError('send_buffer_full', `more than ${sendBufferBytesMax} bytes wait to be sent`)
    }
    socket.send(data)
    this.#tell('frame', { direction: 'out', data })
  }

  protected fail(code: string, message: string): void {
    this.#tell('error', new ClientError(code, message))
  }

  /** Ends the connection as though the server had closed it, by a code that the protocol's table judges. */
  protected drop(code: number, reason: string): void {
    this.#drop({ code: 4000, reason })
    this.#input({ type: 'ended', code, reason })
  }

  // The shell around the life cycle: one input at a time, then its effects.

  #policy(): Policy {
    const { reconnect, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options
    return {
      closeCodes: this.#info.closeCodes,
      backOff: { ...defaultBackOff, ...reconnect },
      connectTimeoutMs,
      heartbeatMs: this.heartbeatMs(),
      silenceMs: this.silenceMs(),
      random: Math.random(),
    }
  }

  #input(input: Input): void {
    const before = this.#life
    const [next, effects] = step(before, input, performance.now(), this.#policy())
    this.#life = next
    const stays = next.type === 'connecting' || next.type === 'open'
    if (this.#socketOpen && (!stays || effects.some(({ type }) => type === 'drop'))) {
      this.#socketOpen = false
      this.lost()
    }
    for (const effect of effects) this.#perform(effect)
    if (!stays) this.#release()
    // At each frame that would cost more than it is worth: the alarm rings early, and is set again.
    if (input.type !== 'received') this.#setAlarm()
    if (before.type !== next.type && this.#life === next) this.#tell('state', this.state)
    if (next.type === 'closed' && before.type !== 'closed') {
      const { code, reason } = next.close
      this.ended(input.type === 'close' ? undefined : new ClientError('closed', `${code} ${reason}`))
    }
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'prepare':
        return void this.#prepare()
      case 'open':
        return this.#open(effect.url)
      case 'drop':
        return this.#drop(effect.close)
      case 'heartbeat':
        return this.heartbeat()
      case 'silent':
        return this.fail('connection_silent', 'nothing came for too long: the connection is taken for dead')
      default:
        effect satisfies never
    }
  }

  async #prepare(): Promise<void> {
    this.#release()
    const attempt = new AbortController()
    this.#attempt = attempt
    const { endpoint, token, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options
    try {
      const [base, credential] = await Promise.all([
        findEndpoint(endpoint, this.#info.service, attempt.signal, connectTimeoutMs / 3),
        askToken(token),
      ])
      if (!attempt.signal.aborted) this.#input({ type: 'prepared', url: this.url(base, credential) })
    } catch (error) {
      if (attempt.signal.aborted) return
      const failure =
        error instanceof ClientError ? error : new ClientError('connect_failed', messageOf(error))
      this.#tell('error', failure)
      // A WebSocket that cannot be made now will not be made later.
      const code = failure.code === 'no_web_socket' ? 4000 : 1006
      this.#input({ type: 'ended', code, reason: failure.message })
    }
  }

  #open(url: string): void {
    const { signal } = this.#attempt
    const socket = this.createSocket(url)
    this.#socket = socket
    socket.binaryType = 'arraybuffer'
    const heard = <E>(handle: (event: E) => void) => {
      return (event: E) => {
        if (!signal.aborted && this.#socket === socket) handle(event)
      }
    }
    socket.onopen = heard(() => {
      this.#socketOpen = true
      this.opened()
    })
    socket.onmessage = heard(({ data }: { data: string | ArrayBuffer }) => {
      const frame = typeof data === 'string' ? data : new Uint8Array(data)
      this.#input({ type: 'received' })
      this.#tell('frame', { direction: 'in', data: frame })
      this.received(frame)
    })
    socket.onclose = heard(({ code, reason }: CloseInfo) => {
      if (!this.#socketOpen)
        this.fail('connect_failed', reason || 'the connection was refused or not reachable')
      this.#input({ type: 'ended', code, reason: String(reason) })
    })
    // The reason comes with the close; without a listener some implementations throw.
    socket.onerror = () => {}
  }

  #drop({ code, reason }: CloseInfo): void {
    const socket = this.#socket
    this.#release()
    const allowed = code === 1000 || code >= 3000
    try {
      socket?.close(allowed ? code : 1000, reason.slice(0, 30))
    } catch {
      // It was never open.
    }
  }

  /** Nothing of the last attempt is heard any more. */
  #release(): void {
    this.#attempt.abort()
    this.#socket = undefined
  }

  #setAlarm(): void {
    clearTimeout(this.#timer)
    const atMs = alarmAtMs(this.#life, { silenceMs: this.silenceMs() })
    if (atMs === Infinity) return
    const delayMs = Math.min(Math.max(0, atMs - performance.now()), 2 ** 31 - 1)
    this.#timer = setTimeout(() => this.#input({ type: 'tick' }), delayMs)
  }

  #tell<E extends keyof ConnectionEvents>(event: E, value: ConnectionEvents[E]): void {
    this.emit(event, value as Events[E])
  }
}

async function askToken(token: ClientOptions['token']): Promise<string> {
  try {
    return await token()
  } catch (error) {
    throw new ClientError('token_unavailable', messageOf(error), { cause: error })
  }
}
