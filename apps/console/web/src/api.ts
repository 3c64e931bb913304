import { sessionEnded } from './session/session.ts'

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
 * One request to the console's server. The session is a cookie; the header says that no other site has sent it.
 * @throws {ApiError} Status 401 ends the session on the page too.
 */
export async function request<T>(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (method !== 'GET') headers['carillon-console'] = '1'
  const response = await fetch(path, {
    method,
    headers,
    cache: 'no-store',
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch((error: unknown) => {
    const late = error instanceof DOMException && error.name === 'TimeoutError'
    const reason = late ? 'did not answer in time' : 'cannot be reached'
    throw new ApiError(0, 'unreachable', `The console’s server ${reason}.`)
  })
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok) return answer as T
  const { error, reason } = (answer ?? {}) as { error?: unknown; reason?: unknown }
  if (response.status === 401) sessionEnded()
  throw new ApiError(
    response.status,
    typeof error === 'string' ? error : `http_${response.status}`,
    typeof reason === 'string' ? reason : `The server answered ${response.status}.`,
  )
}

/** A path with its query; what is undefined or empty is left out. */
export function withQuery(
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== '') params.set(name, String(value))
  return params.size === 0 ? path : `${path}?${params}`
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
