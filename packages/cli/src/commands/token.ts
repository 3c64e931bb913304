import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { Failure, USAGE } from '../failure.ts'
import { findService, type ServiceInfo, services } from '../services.ts'

export interface TokenOptions {
  readonly user: string
  readonly ttl: string
}

/** A token as the service's clients bring it, signed with AUTH_HS256_SECRET or the development secret. */
export async function token(name: string, { user, ttl }: TokenOptions): Promise<string> {
  const seconds = Number(ttl)
  if (!Number.isInteger(seconds))
    throw new Failure(`--ttl must be a whole number of seconds, not ${ttl}`, USAGE)
  return mint(serviceWithTokens(name), user, seconds)
}

export function mint(service: ServiceInfo, user: string, ttlSeconds: number): Promise<string> {
  const secret = process.env.AUTH_HS256_SECRET || DEVELOPMENT_SECRET
  return signToken(secret, service.claims?.(user, Date.now(), ttlSeconds) as Record<string, unknown>)
}

export function serviceWithTokens(name: string): ServiceInfo {
  const service = findService(name)
  if (service?.claims) return service
  const known = services.filter(({ claims }) => claims).map(({ name, alias }) => `${name} (${alias})`)
  throw new Failure(`there are no tokens for ${name}; services with tokens: ${known.join(', ')}`, USAGE)
}
