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
  const begins = [...(isTime(created) ? [created] : []), ...(isTime(nbf) ? [nbf * 1000] : [])]
  return { expiresAtMs: exp * 1000, notBeforeMs: begins.length > 0 ? Math.max(...begins) : undefined }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
