import { io, type Socket } from 'socket.io-client'
import type { CloseInfo } from '../core/close-code.ts'
import type { WebSocketLike } from '../core/web-socket.ts'

export type Acknowledge = (answer: unknown) => void

/**
 * A Socket.IO connection with the life of a WebSocket: one connection, which does not come back by itself. Its close
 * code is the one that the server told before it closed.
 */
export class SocketIoConnection implements WebSocketLike {
  binaryType = ''
  readonly bufferedAmount = 0
  onopen: ((event: never) => void) | null = null
  onmessage: ((event: never) => void) | null = null
  onclose: ((event: never) => void) | null = null
  onerror: ((event: never) => void) | null = null
  readonly #socket: Socket
  #told: CloseInfo | undefined

  /** @param heard every event of the server, with its acknowledgement where it wants one */
  constructor(
    url: string,
    heard: (event: string, body: unknown, acknowledge: Acknowledge | undefined) => void,
  ) {
    // Separate connections: the library shares one among sockets of the same server otherwise.
    this.#socket = io(url, {
      path: '/socket/socket.io',
      // Polling needs every request to reach the same instance.
      transports: ['websocket'],
      reconnection: false,
      forceNew: true,
      autoConnect: false,
    })
    this.#socket.on('connect', () => this.onopen?.({} as never))
    this.#socket.on('connect_error', ({ message }) => this.#ended({ code: 1006, reason: message }))
    this.#socket.on('disconnect', (reason) => {
      // Sent away from the namespace without a word: not to come back.
      const code = reason === 'io server disconnect' ? 4403 : 1006
      this.#ended(this.#told ?? { code, reason })
    })
    this.#socket.onAny((event: string, body: unknown, acknowledge: unknown) => {
      this.onmessage?.({ data: JSON.stringify([event, body]) } as never)
      if (event === 'connection:close') this.#tellClose(body)
      else heard(event, body, typeof acknowledge === 'function' ? (acknowledge as Acknowledge) : undefined)
    })
    this.#socket.connect()
  }

  get readyState(): number {
    return this.#socket.connected ? 1 : 3
  }

  /** An event as JSON: `["authentication",{…}]` */
  send(data: string): void {
    const [event, body] = JSON.parse(data) as [string, unknown]
    this.#socket.emit(event, body)
  }

  close(): void {
    this.#socket.close()
  }

  #tellClose(body: unknown): void {
    const { code, reason } = (body ?? {}) as Record<string, unknown>
    if (typeof code === 'number') this.#told = { code, reason: String(reason) }
  }

  #ended(close: CloseInfo): void {
    const { onclose } = this
    this.onclose = null
    this.#socket.close()
    onclose?.(close as never)
  }
}
