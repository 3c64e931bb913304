import { WebSocket } from 'ws'
import type { EndPoints } from './end-points.ts'
import type { Sessions } from './sessions.ts'

export interface ReconnectingSocketOptions {
  readonly name: string
  readonly service: string
  readonly endPoints: EndPoints
  readonly sessions: Sessions
  /** Path and query, with credentials made for this connection. */
  readonly path: () => string | Promise<string>
  /** Codes after which this protocol's clients do not come back. */
  readonly finalCodes: readonly number[]
  readonly opened: (send: (frame: string) => void) => void
  readonly received: (frame: string) => void
}

/** A client's WebSocket that comes back to wherever discovery sends it, until stopped. */
export class ReconnectingSocket {
  readonly #options: ReconnectingSocketOptions
  #socket: WebSocket | undefined
  #stopped = false

  constructor(options: ReconnectingSocketOptions) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN
  }

  send(frame: string): void {
    if (this.isOpen) this.#socket?.send(frame)
  }

  ping(): void {
    if (this.isOpen) this.#socket?.ping()
  }

  stop(): void {
    this.#stopped = true
    this.#socket?.terminate()
  }

  async connect(): Promise<void> {
    const { name, service, endPoints, sessions, path, finalCodes, opened, received } = this.#options
    const url = `${await endPoints.of(service)}${await path()}`
    if (this.#stopped) return
    const socket = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: 10_000 })
    this.#socket = socket
    let wasOpen = false
    socket.on('open', () => {
      wasOpen = true
      sessions.opened(name)
      opened((frame) => socket.send(frame))
    })
    socket.on('message', (data) => received(String(data)))
    socket.on('error', () => {})
    socket.on('close', (code) => {
      if (this.#stopped) return
      const final = finalCodes.includes(code)
      if (wasOpen) sessions.closed(name, code, final)
      if (!final) void endPoints.backOff().then(() => this.connect())
    })
  }
}
