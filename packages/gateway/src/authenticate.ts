import type { VerifiedToken, VerifyToken } from '@carillon/auth'
import type { FastifyRequest } from 'fastify'
import type { Authenticate } from './websocket/listener.ts'

/**
 * Lets in who brings a good token that names a user, by its `sub` unless told otherwise; everybody else gets
 * HTTP 401 before the upgrade.
 */
export function authenticateByToken(
  verify: VerifyToken,
  tokenOf: (request: FastifyRequest) => string | undefined,
  userOf: (token: VerifiedToken) => string | undefined = ({ subject }) => subject,
): Authenticate {
  return async (request) => {
    const result = await verify(tokenOf(request))
    if (!result.ok) {
      return { ok: false, status: result.failure === 'keys_unavailable' ? 503 : 401, failure: result.failure }
    }
    const userId = userOf(result.token)
    if (userId === undefined) return { ok: false, status: 401, failure: 'malformed' }
    return { ok: true, identity: { userId, expiresAtMs: result.token.expiresAtMs } }
  }
}
