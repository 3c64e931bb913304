import { BusUnavailable } from '@carillon/bus'
import type { ApiError } from '../api.ts'

const statuses: Readonly<Record<ApiError['error'], number>> = {
  bad_request: 400,
  not_signed_in: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  too_many_requests: 429,
  internal: 500,
  unavailable: 503,
}

/** A request that is refused or has failed, with a reason that is fit to be shown. */
export class ApiFailure extends Error {
  readonly error: ApiError['error']

  readonly #status: number | undefined

  /** `status`: another one than usual for this error. */
  constructor(error: ApiError['error'], reason: string, status?: number) {
    super(reason)
    this.error = error
    this.#status = status
  }

  get statusCode(): number {
    return this.#status ?? statuses[this.error]
  }

  get body(): ApiError {
    return { error: this.error, reason: this.message }
  }
}

/** What a status of the HTTP server itself means, such as that of a body that is no JSON. */
export function failureOfStatus(status: number): ApiError {
  switch (status) {
    case 401:
      return { error: 'not_signed_in', reason: 'sign in first' }
    case 403:
      return { error: 'forbidden', reason: 'this is not allowed' }
    case 404:
      return { error: 'not_found', reason: 'there is nothing here' }
    case 413:
      return { error: 'too_large', reason: 'the body is too large' }
    case 429:
      return { error: 'too_many_requests', reason: 'too many requests' }
    case 503:
      return { error: 'unavailable', reason: 'the console is going away' }
    default:
      return status < 500
        ? { error: 'bad_request', reason: 'the request is not understood' }
        : { error: 'internal', reason: 'internal error' }
  }
}

/** What any error means to whoever asked. What is not known says nothing of itself. */
export function failureOf(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error
  if (error instanceof BusUnavailable) return new ApiFailure('unavailable', 'NATS is not connected')
  const { statusCode } = error as { statusCode?: unknown }
  const status = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 600 ? statusCode : 500
  const { error: name, reason } = failureOfStatus(status)
  return new ApiFailure(name, reason, status)
}
