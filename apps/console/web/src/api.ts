import { session } from './session/session.ts'

/** The server's refusal, or that it could not be reached (`unreachable`). */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: string
  readonly status: number

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

const TIMEOUT_MS = 15_000

/**
 * One request to the console's server. The session is a cookie; acts carry the session's CSRF token in a header.
 * @throws {ApiError} Status 401 ends the session on the page too.
 */
export async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  const csrfToken = session.value.type === 'open' ? session.value.csrfToken : undefined
  if (method !== 'GET' && csrfToken) headers['x-csrf-token'] = csrfToken
  const response = await fetch(path, {
    method,
    headers,
    cache: 'no-store',
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch((error: unknown) => {
    const late = error instanceof DOMException && error.name === 'TimeoutError'
    throw new ApiError(0, 'unreachable', late ? 'The console’s server did not answer in time.' : 'The console’s server cannot be reached.')
  })
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok) return answer as T
  const refusal = refusalOf(answer)
  if (response.status === 401 && path !== '/api/session') session.value = { type: 'ended' }
  throw new ApiError(
    response.status,
    refusal?.code ?? `http_${response.status}`,
    refusal?.message ?? `The server answered ${response.status}.`,
  )
}

function refusalOf(answer: unknown): { code: string; message: string } | undefined {
  const error = (answer as { error?: { code?: unknown; message?: unknown } } | undefined)?.error
  if (typeof error?.message !== 'string') return undefined
  return { code: String(error.code), message: error.message }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
