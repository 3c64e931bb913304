import type { TokenFailure, VerifyToken } from '@carillon/auth'
import type { Identity, LateAuthentication } from '@carillon/gateway'
import { type Platform, parseConnectParameters } from './connect-parameters.ts'
import { closeCodes } from './protocol.ts'

/** Who a client is: one user has several devices, and one connection for each. */
export interface ImIdentity extends Identity {
  readonly platform: Platform
  readonly deviceId: string
}

const reasons: Readonly<Record<TokenFailure, string>> = {
  missing: 'token is missing',
  malformed: 'token is malformed',
  unsupported_algorithm: 'token has an unsupported algorithm',
  bad_signature: 'token has a bad signature',
  expired: 'token expired',
  not_yet_valid: 'token is not yet valid',
  keys_unavailable: closeCodes.unavailable.reason,
}

/**
 * Clients are verified after the upgrade, and told by the close reason what is wrong. The token's `sub`, or its
 * `jti` where it has none, must be the user that connects.
 */
export function authenticateBy(verify: VerifyToken): LateAuthentication<ImIdentity> {
  const refuse = (
    failure: string,
    reason: string,
    { code } = closeCodes.unauthenticated as { code: number },
  ) => ({ ok: false, failure, close: { code, reason } }) as const
  return {
    timedOut: closeCodes.unavailable,
    tooMany: closeCodes.tooMany,
    async authenticate(request) {
      const parameters = parseConnectParameters(request.query)
      if (typeof parameters === 'string') return refuse('bad_parameters', parameters)
      const { token, userId, platform, deviceId } = parameters
      const result = await verify(token)
      if (!result.ok) {
        const { failure } = result
        // No fault of the token's: the client must not be sent to its login page.
        if (failure === 'keys_unavailable') return refuse(failure, reasons[failure], closeCodes.unavailable)
        return refuse(failure, reasons[failure])
      }
      const { subject, claims, expiresAtMs } = result.token
      if ((subject ?? claims.jti) !== userId) return refuse('other_user', 'token is of another user')
      return { ok: true, identity: { userId, platform, deviceId, expiresAtMs } }
    },
  }
}
