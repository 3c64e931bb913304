import type { JWTPayload } from 'jose'

/** The times between which a token holds, in milliseconds since the epoch. */
export interface ClaimTimes {
  readonly notBeforeMs: number | undefined
  readonly expiresAtMs: number
}

/** `exp` (s), and `created` (ms) or `nbf` (s). Undefined where `exp` is missing or one of them is no number. */
export function registeredTimes(claims: JWTPayload): ClaimTimes | undefined {
  const { exp, nbf, created } = claims
  if (!isTime(exp)) return undefined
  if (created !== undefined && !isTime(created)) return undefined
  if (nbf !== undefined && !isTime(nbf)) return undefined
  const begins = [...(isTime(created) ? [created] : []), ...(isTime(nbf) ? [nbf * 1000] : [])]
  return { expiresAtMs: exp * 1000, notBeforeMs: begins.length > 0 ? Math.max(...begins) : undefined }
}

/**
 * `expires_at` and, where there is one, `issued_at`, as RFC 3339 texts with up to nine fraction digits and any
 * offset. Undefined where `expires_at` is missing or one of them is no such text.
 */
export function rfc3339Times(claims: JWTPayload): ClaimTimes | undefined {
  const { expires_at, issued_at } = claims
  const expiresAtMs = parseRfc3339(expires_at)
  const notBeforeMs = parseRfc3339(issued_at)
  if (expiresAtMs === undefined || (issued_at !== undefined && notBeforeMs === undefined)) return undefined
  return { expiresAtMs, notBeforeMs }
}

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

/** Milliseconds since the epoch; finer fractions are cut off. */
function parseRfc3339(text: unknown): number | undefined {
  if (typeof text !== 'string' || !RFC3339.test(text)) return undefined
  const ms = Date.parse(text.toUpperCase().replace(/(\.\d{3})\d+/, '$1'))
  return Number.isNaN(ms) ? undefined : ms
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
