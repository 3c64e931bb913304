import { createTokenVerifier, type VerifiedToken } from '@carillon/auth'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Actor, AuditLog } from '../acts/audit-log.ts'
import type { Role, SessionState, SignedIn } from '../api.ts'
import type { ConsoleConfig } from '../config.ts'
import type { Session, Sessions } from '../sessions.ts'
import { ApiFailure } from './api-failure.ts'
import type { SessionCookie } from './cookie.ts'
import { sessionOf } from './guard.ts'
import { bodyReader } from './parse.ts'
import type { RequestRates } from './request-rates.ts'

export interface SignInOptions {
  readonly config: ConsoleConfig
  readonly sessions: Sessions
  readonly cookie: SessionCookie
  readonly audit: AuditLog
  readonly now: () => number
  /** Attempts, by address. */
  readonly attempts: RequestRates
}

const DEVELOPMENT_MS = 8 * 3_600_000
const USER_LENGTH_MAX = 256

const readSignIn = bodyReader(
  Type.Object({ token: Type.Optional(Type.String({ maxLength: 8_192 })) }, { additionalProperties: false }),
)

/** Who somebody is, and what they may do. @throws {ApiFailure} */
type Identify = (token: string | undefined) => Promise<
  Pick<Session, 'user' | 'role' | 'development'> & {
    readonly expiresAtMs: number
  }
>

/** `/api/session`: signing in by a token of the configured issuer, and out. */
export function addSignIn(http: FastifyInstance, options: SignInOptions): void {
  const { config, sessions, cookie, audit, now, attempts } = options
  const identify = createIdentify(config, now)
  const actorOf = (request: FastifyRequest, session?: Session): Actor => ({
    user: session?.user ?? '',
    role: session?.role ?? 'none',
    remoteAddress: request.remoteAddress,
  })
  const describe = ({ user, role, expiresAtMs, development }: Session): SignedIn => ({
    signed_in: true,
    user,
    role,
    expires_at: Math.floor(expiresAtMs),
    development,
    try_it: config.tryIt !== undefined,
  })

  http.get('/api/session', { config: { role: 'anybody' } }, async ({ session }): Promise<SessionState> => {
    if (session !== undefined) return describe(session)
    return { signed_in: false, sign_in: config.developmentSession ? 'development' : 'token' }
  })

  http.post('/api/session', { config: { role: 'anybody' }, bodyLimit: 16_384 }, async (request, reply) => {
    if (!attempts.take(request.remoteAddress))
      throw new ApiFailure('too_many_requests', 'too many attempts to sign in')
    const { token } = readSignIn(request)
    let identity: Awaited<ReturnType<Identify>>
    try {
      identity = await identify(token)
    } catch (error) {
      const reason = error instanceof ApiFailure ? error.message : 'internal error'
      await audit.refused(actorOf(request), { act: 'sign_in', target: {} }, reason)
      throw error
    }
    if (request.session !== undefined) sessions.close(request.session)
    const { expiresAtMs, ...who } = identity
    const { id, session } = sessions.open(who, expiresAtMs)
    await audit.note(actorOf(request, session), { act: 'sign_in', target: {} }, 'done')
    reply.header('set-cookie', cookie.set(id, session.expiresAtMs - now()))
    return describe(session)
  })

  http.delete('/api/session', { config: { role: 'viewer' } }, async (request, reply) => {
    const session = sessionOf(request)
    sessions.close(session)
    await audit.note(actorOf(request, session), { act: 'sign_out', target: {} }, 'done')
    return reply.header('set-cookie', cookie.clear()).code(204).send()
  })
}

function createIdentify({ auth, developmentSession, roleClaim }: ConsoleConfig, now: () => number): Identify {
  const verify = createTokenVerifier({ ...auth, now })
  return async (token) => {
    if (token === undefined) {
      if (!developmentSession) throw new ApiFailure('not_signed_in', 'a token is needed')
      return { user: 'developer', role: 'operator', development: true, expiresAtMs: now() + DEVELOPMENT_MS }
    }
    const result = await verify(token)
    if (!result.ok) {
      if (result.failure === 'keys_unavailable')
        throw new ApiFailure('unavailable', 'tokens cannot be verified at the moment')
      throw new ApiFailure('not_signed_in', `the token is refused: ${result.failure.replaceAll('_', ' ')}`)
    }
    const { subject, expiresAtMs } = result.token
    const role = roleOf(result.token, roleClaim)
    if (subject === undefined || subject.length > USER_LENGTH_MAX)
      throw new ApiFailure('not_signed_in', 'the token names no user')
    if (role === undefined) throw new ApiFailure('forbidden', 'the token has no role here')
    return { user: subject, role, development: false, expiresAtMs }
  }
}

/** The role, or the greater of several. */
function roleOf({ claims }: VerifiedToken, claim: string): Role | undefined {
  const roles = [claims[claim]].flat()
  if (roles.includes('operator')) return 'operator'
  return roles.includes('viewer') ? 'viewer' : undefined
}
