import { clientAddress, type TrustedProxies } from '@carillon/service'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Role } from '../api.ts'
import type { Session, Sessions } from '../sessions.ts'
import { ApiFailure } from './api-failure.ts'
import type { SessionCookie } from './cookie.ts'
import { isOwnHost, isOwnOrigin } from './hosts.ts'
import type { RequestRates } from './request-rates.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may use a route; `anybody` also without a session. A route of the API that does not say is closed to all. */
    role?: Role | 'anybody'
  }
  interface FastifyRequest {
    session: Session | undefined
    remoteAddress: string
  }
}

export interface GuardOptions {
  readonly origin: string | undefined
  readonly cookie: SessionCookie
  readonly sessions: Sessions
  readonly trustedProxies: TrustedProxies
  /** By address, before anything is looked at. */
  readonly addressRates: RequestRates
  /** By user. */
  readonly userRates: RequestRates
  /** A viewer has asked for what is an operator's. */
  readonly refused: (request: FastifyRequest) => Promise<void>
}

export const API_PREFIX = '/api/'
/** No other site can send it without asking first, and nobody is ever allowed to. */
export const REQUEST_HEADER = 'carillon-console'

/**
 * Lets nothing through that its sender may not do, before a body is read. To be called before routes are added;
 * answers the list of those of the API, each of which must say whom it is for.
 */
export function addGuard(http: FastifyInstance, options: GuardOptions): readonly string[] {
  const routes: string[] = []
  http.addHook('onRoute', ({ url, method, config }) => {
    if (!url.startsWith(API_PREFIX)) return
    if (config?.role === undefined) throw new TypeError(`${url} does not say whom it is for`)
    routes.push(`${method} ${url}`)
  })

  const { origin, cookie, sessions, trustedProxies, addressRates, userRates, refused } = options
  http.decorateRequest('session', undefined)
  http.decorateRequest('remoteAddress', '')

  http.addHook('onRequest', async (request) => {
    const { headers, method, raw } = request
    request.remoteAddress = clientAddress(raw, trustedProxies)
    if (!isOwnHost(headers.host, origin))
      throw new ApiFailure('forbidden', 'this is not the name of the console')
    if (!isApi(request)) return
    if (!addressRates.take(request.remoteAddress))
      throw new ApiFailure('too_many_requests', 'too many requests')
    const site = headers['sec-fetch-site']
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      throw new ApiFailure('forbidden', 'another site may not ask')
    if (method !== 'GET') {
      const from = headers.origin
      if (from !== undefined && !isOwnOrigin(from, headers.host, origin))
        throw new ApiFailure('forbidden', 'another site may not ask')
      if (headers[REQUEST_HEADER] !== '1')
        throw new ApiFailure('forbidden', 'the header Carillon-Console: 1 is missing')
    }
    const id = cookie.read(headers.cookie)
    request.session = id === undefined ? undefined : sessions.find(id)
    const { role } = request.routeOptions.config
    if (role === 'anybody' || request.is404) return
    const { session } = request
    if (session === undefined) throw new ApiFailure('not_signed_in', 'sign in first')
    if (!userRates.take(session.user)) throw new ApiFailure('too_many_requests', 'too many requests')
    if (role === 'viewer' || (role === 'operator' && session.role === 'operator')) return
    await refused(request)
    throw new ApiFailure('forbidden', 'this is for operators')
  })
  return routes
}

/** By the route that was found, since a path has many spellings: `/%61pi/settings` is one of `/api/settings`. */
export function isApi({ routeOptions, url }: FastifyRequest): boolean {
  return routeOptions.config.role !== undefined || url.startsWith(API_PREFIX)
}

/** The session of a route that nobody reaches without one. */
export function sessionOf({ session }: FastifyRequest): Session {
  if (session === undefined) throw new ApiFailure('not_signed_in', 'sign in first')
  return session
}
