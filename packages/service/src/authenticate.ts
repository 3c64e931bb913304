import type { VerifyToken } from '@carillon/auth'
import type { FastifyRequest } from 'fastify'
import type { Authenticate } from './listener/listener.ts'

/** Lets in who brings a good token with a `sub`; everybody else gets HTTP 401 before the upgrade. */
export function authenticateByToken(
  verify: VerifyToken,
  tokenOf: (request: FastifyRequest) => string | undefined,
): Authenticate {
  return async (request) => {
    const result = await verify(tokenOf(request))
    if (!result.ok) {
      return { ok: false, status: result.failure === 'keys_unavailable' ? 503 : 401, failure: result.failure }
    }
    const { subject, expiresAtMs } = result.token
    if (subject === undefined) return { ok: false, status: 401, failure: 'malformed' }
    return { ok: true, identity: { userId: subject, expiresAtMs } }
  }
}
