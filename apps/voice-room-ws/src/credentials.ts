import { SID_LENGTH_MAX, type SidResult, verifySid } from '@carillon/auth'
import { type Bus, BusUnavailable, NoResponders } from '@carillon/bus'
import { idProblem, voice } from '@carillon/events'
import type { Secrets } from '@carillon/service'

export type VerifySid = (sid: string | undefined) => Promise<SidResult>

/** Verifies by shared secrets, or without any over NATS. */
export function createSidVerifier(bus: Bus, secrets: Secrets | undefined, now: () => number): VerifySid {
  if (secrets !== undefined) return async (sid) => verifyByAny(secrets(), sid, now())
  return async (sid) => {
    if (sid === undefined || sid === '') return { ok: false, failure: 'missing' }
    if (sid.length > SID_LENGTH_MAX) return { ok: false, failure: 'malformed' }
    try {
      const { error_code, user_id = '' } = await bus.request(voice.verify, {}, { sid })
      const userId = String(user_id)
      if (error_code !== 0) return { ok: false, failure: 'refused' }
      if (userId === '' || idProblem('user id', userId) !== undefined)
        return { ok: false, failure: 'malformed' }
      return { ok: true, userId, expiresAtMs: undefined }
    } catch (error) {
      if (!(error instanceof BusUnavailable || error instanceof NoResponders))
        bus.log.warn({ reason: (error as Error).message }, 'a sid could not be verified')
      return { ok: false, failure: 'verifier_unavailable' }
    }
  }
}

function verifyByAny(secrets: readonly [string, ...string[]], sid: string | undefined, nowMs: number) {
  const results = secrets.map((secret) => verifySid(secret, sid, nowMs))
  return (
    results.find((result) => result.ok || result.failure !== 'bad_signature') ?? (results[0] as SidResult)
  )
}
