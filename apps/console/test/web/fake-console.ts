import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize, resolve } from 'node:path'
import { fakeAnswers } from './fake-answers.ts'
import { FakeFleet } from './fake-fleet.ts'

const dist = resolve(import.meta.dirname, '../../web/dist')
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}
/** As API.md says the page is served. */
export const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"

/** A console's server as the page sees one, with a simulated fleet of any size: what a test wants it to be. */
export class FakeConsole {
  readonly fleet: FakeFleet
  /** Bodies of requests that change something, by method and path. */
  readonly acts: { readonly route: string; readonly body: unknown; readonly header: string | undefined }[] =
    []
  /** Nobody is signed in: the page asks for a token, which is this one. */
  token: string | undefined
  /** Answers to GET requests, by path. */
  readonly answers: Record<string, unknown>
  readonly #server: Server
  readonly #streams = new Set<ServerResponse>()
  #timer: NodeJS.Timeout | undefined

  private constructor(fleet: FakeFleet) {
    this.fleet = fleet
    this.answers = fakeAnswers()
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  static async start({ instances = 9, port = 0 } = {}): Promise<FakeConsole> {
    const fake = new FakeConsole(new FakeFleet(instances))
    await new Promise<void>((listening) => fake.#server.listen(port, '127.0.0.1', listening))
    fake.#timer = setInterval(() => {
      const snapshot = fake.fleet.step(Date.now())
      for (const stream of fake.#streams) send(stream, 'snapshot', snapshot)
    }, 1_000)
    return fake
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://console').pathname
    if (!path.startsWith('/api/')) return serveFile(path, response)
    if (request.method !== 'GET') return this.#act(request, response, path)
    if (path === '/api/session') return json(response, 200, this.#session())
    if (this.token !== undefined)
      return json(response, 401, { error: 'not_signed_in', reason: 'Sign in first.' })
    if (path === '/api/live') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      send(response, 'history', this.fleet.history(Date.now()))
      this.#streams.add(response)
      response.on('close', () => this.#streams.delete(response))
      return
    }
    const answer = this.answers[path]
    if (answer === undefined) json(response, 404, { error: 'not_found', reason: 'There is no such thing.' })
    else json(response, 200, answer)
  }

  async #act(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    let text = ''
    for await (const chunk of request) text += chunk
    const body = text === '' ? undefined : JSON.parse(text)
    const header = request.headers['carillon-console'] as string | undefined
    this.acts.push({ route: `${request.method} ${path}`, body, header })
    if (path === '/api/session') {
      if (body?.token !== this.token && this.token !== undefined)
        return json(response, 401, { error: 'not_signed_in', reason: 'The token is not valid.' })
      this.token = undefined
      return json(response, 200, this.#session())
    }
    json(response, 200, this.answers[`${request.method} ${path}`] ?? {})
  }

  #session() {
    if (this.token !== undefined) return { signed_in: false, sign_in: 'token' }
    const expires_at = Date.now() + 3_600_000
    return { signed_in: true, user: 'ann', role: 'operator', expires_at, development: true, try_it: true }
  }
}

function send(stream: ServerResponse, event: string, data: unknown): void {
  stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function serveFile(path: string, response: ServerResponse): void {
  const name = normalize(path === '/' ? '/index.html' : path)
  try {
    const content = readFileSync(join(dist, name))
    const headers = {
      'content-type': types[extname(name)] ?? 'application/octet-stream',
      'content-security-policy': contentSecurityPolicy,
    }
    response.writeHead(200, headers).end(content)
  } catch {
    response.writeHead(404).end()
  }
}

if (process.argv[1] === import.meta.filename) {
  const [instances = '9', port = '8190'] = process.argv.slice(2)
  await FakeConsole.start({ instances: Number(instances), port: Number(port) })
}
