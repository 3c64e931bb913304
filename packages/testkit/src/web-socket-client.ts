import type { IncomingMessage } from 'node:http'
import { type ClientOptions, WebSocket } from 'ws'
import { eventually } from './eventually.ts'

/** Thrown where the server refuses the upgrade. */
export class UpgradeRefused extends Error {
  readonly status: number

  constructor(response: IncomingMessage) {
    super(`the upgrade was refused with ${response.statusCode}`)
    this.status = response.statusCode ?? 0
  }
}

/** A WebSocket client that keeps what it received. */
export class WebSocketClient {
  readonly socket: WebSocket
  readonly frames: string[] = []
  #read = 0
  closed: { readonly code: number; readonly reason: string } | undefined

  private constructor(url: string, options: ClientOptions) {
    this.socket = new WebSocket(url, { perMessageDeflate: false, ...options })
    this.socket.on('message', (data) => this.frames.push(String(data)))
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
    })
  }

  /** Connects. @throws {UpgradeRefused} */
  static async connect(url: string, options: ClientOptions = {}): Promise<WebSocketClient> {
    const client = new WebSocketClient(url, options)
    await new Promise<void>((resolve, reject) => {
      client.socket.once('open', resolve)
      client.socket.once('error', reject)
      client.socket.once('unexpected-response', (_request, response) => reject(new UpgradeRefused(response)))
    })
    client.socket.on('error', () => {})
    return client
  }

  send(frame: string | object | Buffer): void {
    const ready = typeof frame === 'string' || Buffer.isBuffer(frame)
    this.socket.send(ready ? frame : JSON.stringify(frame))
  }

  /** The next frame that was not read yet. */
  async next(timeoutMs?: number): Promise<string> {
    await eventually(() => this.frames.length > this.#read, timeoutMs)
    return this.frames[this.#read++] as string
  }

  /** The next frame as JSON. */
  async nextJson(timeoutMs?: number): Promise<unknown> {
    return JSON.parse(await this.next(timeoutMs))
  }

  /** How the connection ended. */
  async end(timeoutMs?: number): Promise<{ readonly code: number; readonly reason: string }> {
    return eventually(() => this.closed ?? false, timeoutMs)
  }

  close(): void {
    this.socket.terminate()
  }
}
