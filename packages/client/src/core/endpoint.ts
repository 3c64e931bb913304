import { ClientError, messageOf } from './errors.ts'

/** Asks endpoint-discovery, anew for each connection. */
export interface Discovery {
  /**
   * Where `GET /iapi/websocket/end_point` is served: `https://push.example.com`. Or a function that answers the whole
   * URL with its parameters, for signed requests.
   */
  readonly discoveryUrl: string | (() => string | Promise<string>)
  /** Instances there are preferred. */
  readonly region?: string
  /** Taken where discovery cannot be reached or names no endpoint: `wss://push.example.com`. */
  readonly fallbackUrl?: string
}

/** The base URL of a service, without a path; a function that answers it; or where to ask for it. */
export type Endpoint = string | (() => string | Promise<string>) | Discovery

/**
 * The base URL to connect to, without a slash at its end.
 * @param timeoutMs after which the fallback URL is taken, where there is one
 * @param service discovery's name of it: `auction`, `quote`, `voice`, `im` or `campus`
 * @throws {ClientError} `endpoint_unavailable`
 */
export async function findEndpoint(
  endpoint: Endpoint,
  service: string,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<string> {
  try {
    if (typeof endpoint === 'string') return base(endpoint)
    if (typeof endpoint === 'function') return base(await endpoint())
    const { fallbackUrl } = endpoint
    if (fallbackUrl === undefined) return await ask(endpoint, service, signal)
    return await within(timeoutMs, signal, (signal) => ask(endpoint, service, signal)).catch(() =>
      base(fallbackUrl),
    )
  } catch (error) {
    throw new ClientError('endpoint_unavailable', messageOf(error), { cause: error })
  }
}

/** @throws when the time is over, or the signal says so: also where a function of the application never settles. */
function within<T>(
  timeoutMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController()
  const end = () => ending.abort()
  const timer = setTimeout(end, timeoutMs)
  signal.addEventListener('abort', end)
  const ended = new Promise<never>((_, reject) => {
    ending.signal.addEventListener('abort', () => reject(new Error('discovery does not answer')))
  })
  return Promise.race([work(ending.signal), ended]).finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  })
}

async function ask(discovery: Discovery, service: string, signal: AbortSignal): Promise<string> {
  const { discoveryUrl, region } = discovery
  const url = new URL(
    typeof discoveryUrl === 'function'
      ? await discoveryUrl()
      : `${base(discoveryUrl)}/iapi/websocket/end_point`,
  )
  if (typeof discoveryUrl === 'string') {
    url.searchParams.set('service', service)
    if (region !== undefined) url.searchParams.set('region', region)
  }
  const response = await fetch(url, { signal })
  const answer = (await response.json()) as { end_point?: unknown; error_reason?: unknown }
  if (typeof answer?.end_point !== 'string')
    throw new Error(`discovery: ${answer?.error_reason || response.status}`)
  return base(answer.end_point)
}

/** @throws {TypeError} if it is no URL of a scheme that clients connect by. */
function base(text: string): string {
  const { protocol } = new URL(text)
  if (!/^(ws|http)s?:$/.test(protocol)) throw new TypeError(`an endpoint cannot be a ${protocol} URL`)
  return text.replace(/\/+$/, '')
}
