import { createHmac, timingSafeEqual } from 'node:crypto'

/** Why a sid was refused. Fit for a metric's label and a client's error: it says nothing of the sid. */
export type SidFailure =
  | 'missing'
  | 'malformed'
  | 'bad_signature'
  | 'expired'
  | 'refused'
  | 'verifier_unavailable'

export type SidResult =
  | {
      readonly ok: true
      readonly userId: string
      /** In milliseconds since the epoch; undefined where the verifier does not say. */
      readonly expiresAtMs: number | undefined
    }
  | { readonly ok: false; readonly failure: SidFailure }

/** From the end: the user's id may hold any letter. */
const SID = /^(.+)s(\d{1,12})x([0-9a-f]{32})$/su
export const SID_LENGTH_MAX = 1_024
/** A user's id becomes part of subjects and keys. */
const USER_ID_BYTES_MAX = 256

/** `<userId>s<expiresAt>x<first 32 hex of HMAC-SHA256(secret, "<userId>.<expiresAt>")>`; the time in seconds. */
export function mintSid(secret: string, userId: string, expiresAtS: number): string {
  return `${userId}s${expiresAtS}x${mac(secret, userId, String(expiresAtS))}`
}

export function verifySid(secret: string, sid: string | undefined, nowMs: number): SidResult {
  if (sid === undefined || sid === '') return { ok: false, failure: 'missing' }
  const parts = sid.length > SID_LENGTH_MAX ? null : SID.exec(sid)
  if (parts === null) return { ok: false, failure: 'malformed' }
  const [, userId, expiresAt, given] = parts as unknown as [string, string, string, string]
  if (Buffer.byteLength(userId) > USER_ID_BYTES_MAX) return { ok: false, failure: 'malformed' }
  if (!timingSafeEqual(Buffer.from(given), Buffer.from(mac(secret, userId, expiresAt))))
    return { ok: false, failure: 'bad_signature' }
  const expiresAtMs = Number(expiresAt) * 1_000
  return expiresAtMs > nowMs ? { ok: true, userId, expiresAtMs } : { ok: false, failure: 'expired' }
}

function mac(secret: string, userId: string, expiresAt: string): string {
  return createHmac('sha256', secret).update(`${userId}.${expiresAt}`).digest('hex').slice(0, 32)
}
