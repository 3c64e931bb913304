import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import type { CredentialRequest } from '../service-info.ts'

/** Signs claims with AUTH_HS256_SECRET, or with the development secret, as the services verify them. */
export function signClaims({ env }: CredentialRequest, claims: Record<string, unknown>): Promise<string> {
  return signToken(env.AUTH_HS256_SECRET || DEVELOPMENT_SECRET, claims)
}
