import { createInterface } from 'node:readline'
import type {
  ClientOptions,
  CloseInfo,
  ConnectionEvents,
  ConnectionState,
  WebSocketConstructor,
} from '@carillon/client'
import { WebSocket } from 'ws'
import type { ConnectTarget } from '../service-info.ts'
import { ToolError } from '../tool-error.ts'

export type Frame = ConnectionEvents['frame']

/** What the terminal needs of one of the client library's classes. */
export interface Connection {
  readonly state: ConnectionState
  connect(): Promise<void>
  close(): void
  on(event: 'frame', listener: (frame: Frame) => void): () => void
  on(event: 'state', listener: (state: ConnectionState) => void): () => void
}

export interface Terminal<C extends Connection> {
  /** Makes the client, with these options besides the protocol's own. */
  create(options: ClientOptions): C
  /** Sends a typed line; an error that it throws is printed. */
  typed(client: C, line: string): void
  /** What to print of a frame, or undefined. Default: what comes, as it comes. */
  describe?(frame: Frame): string | undefined
}

const CONNECT_TIMEOUT_MS = 10_000

/**
 * A client in the terminal: prints what comes, takes what is typed line by line, and ends with its first connection,
 * because whoever looks at a service wants to see how that ended. @throws {ToolError} where the connection was refused,
 * or ended by the server.
 */
export async function runTerminalClient<C extends Connection>(
  { baseUrl, createCredential, request, print }: ConnectTarget,
  { create, typed, describe = asItComes }: Terminal<C>,
): Promise<void> {
  const attempt = new Attempt()
  const client = create({
    endpoint: baseUrl,
    token: createCredential,
    WebSocket: attempt.WebSocket,
    reconnect: { attemptsMax: 1 },
  })
  // Before it connects: the first frame may come with the answer to the upgrade.
  client.on('frame', (frame) => {
    const text = describe(frame)
    if (text !== undefined) print(text)
  })
  const ended = new Promise<CloseInfo>((resolve) =>
    client.on('state', (state) => {
      if (state.type === 'closed') resolve(state.close)
    }),
  )
  await client.connect().catch(() => {
    // Said below.
  })
  if (client.state.type !== 'closed') {
    process.stderr.write(`connected to ${baseUrl} as ${request.user}; type and press Enter, Ctrl-C ends\n`)
    const lines = createInterface({ input: process.stdin })
    lines.on('line', (line) => {
      if (!line.trim()) return
      try {
        typed(client, line)
      } catch (error) {
        process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
      }
    })
    const leave = () => client.close()
    process.once('SIGINT', leave)
    await ended
    process.off('SIGINT', leave)
    lines.close()
  }
  const { code, reason } = await ended
  await attempt.ended
  // Without a socket it is the endpoint that makes no sense.
  const problem = attempt.problem ?? (attempt.ended === undefined ? `is not reachable: ${reason}` : undefined)
  if (problem !== undefined) throw new ToolError(`${baseUrl} ${problem}`)
  if (code !== 1000) throw new ToolError(`closed by the server: ${code} ${reason}`)
}

/** The one socket of a client that does not come back, and what a browser's WebSocket does not tell of it. */
class Attempt {
  /** Why it was not opened, in words. */
  problem: string | undefined
  /** Settles when the socket is gone, with its close frame sent; undefined before there is one. */
  ended: Promise<void> | undefined

  readonly WebSocket = socketClass((socket) => {
    let wasOpen = false
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.once('open', () => {
      wasOpen = true
    })
    socket.once('unexpected-response', (_request, { statusCode }) => {
      this.problem = `refused the connection with HTTP ${statusCode}`
      socket.terminate()
    })
    socket.on('error', ({ message }) => {
      if (!wasOpen) this.problem ??= `is not reachable: ${message}`
    })
  })
}

function socketClass(created: (socket: WebSocket) => void): WebSocketConstructor {
  class TerminalSocket extends WebSocket {
    constructor(url: string) {
      super(url, { handshakeTimeout: CONNECT_TIMEOUT_MS })
      created(this)
    }
  }
  return TerminalSocket as unknown as WebSocketConstructor
}

function asItComes({ direction, data }: Frame): string | undefined {
  if (direction === 'out') return undefined
  return typeof data === 'string' ? data : `<${data.length} bytes>`
}
