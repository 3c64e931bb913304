import type { VerifiedToken } from '@carillon/auth'
import type { UpgradeRequest } from '@carillon/gateway'

const BEARER = /^bearer +(\S+)$/i

/** The token of `?authorization=bearer%20…` or of the Authorization header. */
export function tokenOf({ query, headers }: Pick<UpgradeRequest, 'query' | 'headers'>): string | undefined {
  const { authorization = headers.authorization } = query as { authorization?: unknown }
  if (typeof authorization !== 'string') return undefined
  // Something without "bearer" is no token, but is told apart from nothing at all.
  return BEARER.exec(authorization.trim())?.[1] ?? authorization
}

/** Whose connection it is: the token's `user_id`. */
export function userOf({ claims }: VerifiedToken): string | undefined {
  return typeof claims.user_id === 'string' && claims.user_id !== '' ? claims.user_id : undefined
}
