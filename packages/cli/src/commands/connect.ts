import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import { Failure } from '../failure.ts'
import { portOf } from '../services.ts'
import { mint, serviceWithTokens } from './token.ts'

export interface ConnectOptions {
  readonly user: string
  readonly url?: string
}

/**
 * Connects as a client of the service: prints what comes, sends what is typed, line by line. Ends with the
 * connection.
 */
export async function connect(name: string, { user, url }: ConnectOptions): Promise<void> {
  const service = serviceWithTokens(name)
  const base = url?.replace(/\/$/, '') ?? `ws://127.0.0.1:${portOf(service, process.env, 'listen')}`
  const socket = new WebSocket(base + (service.clientPath?.(await mint(service, user, 3_600)) ?? ''))
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('unexpected-response', (_request, { statusCode }) =>
      reject(new Failure(`${base} refused the connection with HTTP ${statusCode}`)),
    )
    socket.once('error', (error) => reject(new Failure(`${base} is not reachable: ${error.message}`)))
  })
  process.stderr.write(`connected to ${base} as ${user}; type a frame and press Enter, Ctrl-C ends\n`)
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => line.trim() && socket.send(line))
  socket.on('message', (data, isBinary) => {
    process.stdout.write(`${isBinary ? `<${(data as Buffer).length} bytes>` : data}\n`)
  })
  process.once('SIGINT', () => socket.close(1000))
  const [code, reason] = await new Promise<[number, Buffer]>((resolve) =>
    socket.once('close', (...args) => resolve(args)),
  )
  lines.close()
  if (code !== 1000) throw new Failure(`closed by the server: ${code} ${reason}`)
}
