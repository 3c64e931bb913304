import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { connect } from 'node:net'

/**
 * A load balancer that deals new sessions out in turn, and keeps each session where it began: by its session id,
 * as the ingress of a cluster does by a cookie or a hash.
 */
export class StickyProxy {
  readonly #server: Server
  readonly #ports: readonly number[]
  readonly #sessions = new Map<string, number>()
  /** How many sessions each backend was given. */
  readonly dealt: number[]
  #next = 0

  private constructor(ports: readonly number[]) {
    this.#ports = ports
    this.dealt = ports.map(() => 0)
    this.#server = createServer((request, response) => {
      const index = this.#backendOf(request)
      const upstream = httpRequest(
        {
          port: ports[index],
          host: '127.0.0.1',
          path: request.url,
          method: request.method,
          headers: request.headers,
        },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.on('data', (chunk: Buffer) => {
            const sid = /"sid":"([^"]+)"/.exec(String(chunk))?.[1]
            if (sid && !this.#sessions.has(sid)) this.#sessions.set(sid, index)
          })
          answer.pipe(response)
        },
      )
      upstream.on('error', () => response.destroy())
      response.on('close', () => upstream.destroy())
      request.pipe(upstream)
    })
    this.#server.on('upgrade', (request, socket, head) => {
      const upstream = connect(ports[this.#backendOf(request)] as number, '127.0.0.1', () => {
        const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`)
        upstream.write(`GET ${request.url} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
        upstream.write(head)
        socket.pipe(upstream).pipe(socket)
      })
      upstream.on('error', () => socket.destroy())
      socket.on('error', () => upstream.destroy())
    })
  }

  static async start(...ports: number[]): Promise<StickyProxy> {
    const proxy = new StickyProxy(ports)
    await new Promise<void>((done) => proxy.#server.listen(0, '127.0.0.1', done))
    return proxy
  }

  get url(): string {
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #backendOf(request: IncomingMessage): number {
    const sid = new URL(request.url ?? '', 'http://proxy').searchParams.get('sid')
    const known = sid === null ? undefined : this.#sessions.get(sid)
    if (known !== undefined) return known
    const index = this.#next++ % this.#ports.length
    this.dealt[index] = (this.dealt[index] ?? 0) + 1
    return index
  }
}
