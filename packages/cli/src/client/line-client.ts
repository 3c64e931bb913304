import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import type { ConnectTarget } from '../service-info.ts'
import { ToolError } from '../tool-error.ts'

export type Frame = string | Uint8Array

/** Sends a frame to the server. */
export type Send = (frame: Frame) => void

/** What one protocol's client does besides printing and sending lines. */
export interface LineClient {
  /** Runs once the connection stands; what it answers runs when the connection ends. */
  opened?(send: Send): (() => void) | undefined
  /** What to print of a frame, or undefined. It may send as well. */
  received?(data: Buffer, isBinary: boolean, send: Send): string | undefined
  /** Takes a typed line; an error that it throws is printed. Default: the line is sent as it is. */
  typed?(line: string, send: Send): void
}

const CONNECT_TIMEOUT_MS = 10_000

/**
 * A WebSocket client in the terminal: prints what comes, takes what is typed line by line, and ends with the
 * connection. @throws {ToolError} where the connection was refused, or ended by the server.
 */
export async function runLineClient(target: ConnectTarget, client: LineClient = {}): Promise<void> {
  const { baseUrl, url, request, print } = target
  const socket = new WebSocket(url, { handshakeTimeout: CONNECT_TIMEOUT_MS })
  const send: Send = (frame) => socket.readyState === WebSocket.OPEN && socket.send(frame)
  // Attached before the connection stands: its first frame may come with the answer to the upgrade.
  socket.on('message', (data, isBinary) => {
    const text = (client.received ?? asText)(data as Buffer, isBinary, send)
    if (text !== undefined) print(text)
  })
  const ended = new Promise<[number, Buffer]>((resolve) =>
    socket.once('close', (code, reason) => resolve([code, reason])),
  )
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('unexpected-response', (_request, { statusCode }) => {
      socket.terminate()
      reject(new ToolError(`${baseUrl} refused the connection with HTTP ${statusCode}`))
    })
    socket.on('error', (error) => reject(new ToolError(`${baseUrl} is not reachable: ${error.message}`)))
  })
  process.stderr.write(`connected to ${baseUrl} as ${request.user}; type and press Enter, Ctrl-C ends\n`)
  const closed = client.opened?.(send)
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    if (!line.trim()) return
    try {
      if (client.typed) client.typed(line, send)
      else send(line)
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    }
  })
  const leave = () => socket.close(1000)
  process.once('SIGINT', leave)
  const [code, reason] = await ended
  process.off('SIGINT', leave)
  lines.close()
  closed?.()
  if (code !== 1000) throw new ToolError(`closed by the server: ${code} ${reason}`)
}

function asText(data: Buffer, isBinary: boolean): string {
  return isBinary ? `<${data.length} bytes>` : data.toString()
}
