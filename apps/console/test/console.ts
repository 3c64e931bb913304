import { type IncomingHttpHeaders, request } from 'node:http'
import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { type NatsServer, testEnvironment } from '@carillon/testkit'
import { create, readConfig } from '../src/server.ts'

export type Console = ReturnType<typeof create>

export async function bootConsole(
  nats: Pick<NatsServer, 'url'>,
  environment: Record<string, string> = {},
  overrides: Parameters<typeof create>[1] = {},
): Promise<Console> {
  const service = create(readConfig({ ...testEnvironment('CONSOLE', nats), ...environment }), overrides)
  await service.start()
  return service
}

export const SECRET = 'a-secret-of-the-tests-0123456789'
export const ISSUER = 'https://login.example.com'
export const AUDIENCE = 'carillon-console'
/** Signing in by tokens, as in production. */
export const withTokens = { AUTH_HS256_SECRET: SECRET, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE }

export function token(claims: object, secret = SECRET): Promise<string> {
  const now = Date.now()
  const exp = Math.floor(now / 1_000) + 3_600
  return signToken(secret, { sub: 'ann', created: now, exp, iss: ISSUER, aud: AUDIENCE, ...claims })
}
export const developmentToken = () => token({ role: 'operator' }, DEVELOPMENT_SECRET)

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever the route answers; the test says what it must be
  readonly body: any
  readonly headers: Headers
}

/** A browser's part: the cookie, and the header that the page sends. */
export class Browser {
  readonly #url: string
  readonly #headers: Record<string, string>
  cookie = ''

  constructor(service: Console, headers: Record<string, string> = { 'carillon-console': '1' }) {
    this.#url = `http://127.0.0.1:${service.port()}`
    this.#headers = headers
  }

  static async signedIn(service: Console, body: object = {}): Promise<Browser> {
    const browser = new Browser(service)
    const { status } = await browser.send('POST', '/api/session', body)
    if (status !== 200) throw new Error(`signing in answered ${status}`)
    return browser
  }

  get url(): string {
    return this.#url
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', path, undefined, headers)
  }

  async send(
    method: string,
    path: string,
    body?: object | string,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        ...this.#headers,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(this.cookie && { cookie: this.cookie }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const cookie = response.headers.get('set-cookie')
    if (cookie !== null) this.cookie = cookie.split(';')[0] as string
    const text = await response.text()
    return { status: response.status, body: text && JSON.parse(text), headers: response.headers }
  }

  async live(): Promise<LiveTab> {
    const abort = new AbortController()
    const response = await fetch(`${this.#url}/api/live`, {
      headers: { cookie: this.cookie },
      signal: abort.signal,
    })
    return new LiveTab(response, abort)
  }
}

/** A request with a `Host` of its own, which `fetch` does not allow. */
export function askAs(
  host: string,
  port: number,
  asked: { method: string; path: string; headers: Record<string, string>; body?: object },
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  const { method, path, body } = asked
  return new Promise((resolve, reject) => {
    const headers = {
      'carillon-console': '1',
      ...(body && { 'content-type': 'application/json' }),
      ...asked.headers,
      host,
    }
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (data) => (text += data))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      )
    })
    sent.on('error', reject)
    sent.end(body && JSON.stringify(body))
  })
}

/** A tab that looks: the events it has got. */
export class LiveTab {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: of every kind
  readonly events: { readonly event: string; readonly data: any }[] = []
  ended = false
  readonly #abort: AbortController

  constructor(response: Response, abort: AbortController) {
    this.status = response.status
    this.#abort = abort
    void this.#read(response).catch(() => {
      this.ended = true
    })
  }

  // biome-ignore lint/suspicious/noExplicitAny: the last one
  last(event: string): any {
    return this.events.findLast((each) => each.event === event)?.data
  }

  count(event: string): number {
    return this.events.filter((each) => each.event === event).length
  }

  close(): void {
    this.#abort.abort()
  }

  async #read(response: Response): Promise<void> {
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true })
      const parts = text.split('\n\n')
      text = parts.pop() ?? ''
      for (const part of parts) {
        const found = /^event: (\w+)\ndata: (.*)$/.exec(part)
        if (found) this.events.push({ event: found[1] as string, data: JSON.parse(found[2] as string) })
      }
    }
    this.ended = true
  }
}
