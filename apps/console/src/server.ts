import { auditStream, discovery, observedServices } from '@carillon/events'
import { createHttpServer, handOverSocket, listen, type Overrides, Service } from '@carillon/service'
import { AuditLog } from './acts/audit-log.ts'
import { SettingsBoard } from './acts/settings.ts'
import type { ConsoleConfig } from './config.ts'
import { failureOf, failureOfStatus } from './http/api-failure.ts'
import { SessionCookie } from './http/cookie.ts'
import { addGuard, isApi, sessionOf } from './http/guard.ts'
import { securityHeaders } from './http/headers.ts'
import { addPage, builtPage } from './http/page.ts'
import { RequestRates } from './http/request-rates.ts'
import { actorOf, addRoutes } from './http/routes.ts'
import { addSignIn } from './http/sign-in.ts'
import { Collector } from './live/collector.ts'
import { Fleet } from './live/fleet.ts'
import { LiveStreams } from './live/live-streams.ts'
import { LookUps } from './look-ups.ts'
import { Sessions } from './sessions.ts'

export { type ConsoleConfig, readConfig } from './config.ts'

/** A room's relay, or a device, may take its time to answer. */
const REQUEST_TIMEOUT_MS = 20_000
/** Ids of users and topics stand in queries. */
const rates = {
  address: { perSecond: 100, burst: 400 },
  user: { perSecond: 20, burst: 100 },
  signIn: { perSecond: 0.5, burst: 20 },
} as const

/** A page for operators: what the fleet does, live; look-ups; and acts, each on the record. */
export function create(config: ConsoleConfig, overrides: Overrides & { readonly page?: string } = {}) {
  const service = new Service({ name: 'console', config, overrides, secrets: [config.auth.secret] })
  const { bus, clock, instanceId, log, metrics, wheel } = service
  const monotonic = () => clock.monotonic()
  const secure = config.origin?.startsWith('https:') ?? false

  // Announcements and answers → the fleet → snapshots → tabs.
  const fleet = new Fleet(observedServices)
  const announced = new Set<string>(observedServices)
  bus.subscribe(discovery.announce, {}, ({ subject, payload }) => {
    if (announced.has(payload.service) && !fleet.announced(payload, monotonic()))
      bus.reject(subject, 'the service has too many instances')
  })
  bus.onChange((connected) => (connected ? fleet.connected(monotonic()) : fleet.disconnected()))
  const collector = new Collector({ bus, clock, fleet, log, services: observedServices })
  const sessions = new Sessions({ now: () => clock.now(), monotonic })
  const streams = new LiveStreams({ collector, isOpen: (session) => sessions.isOpen(session) })

  // Acts → the record → the services.
  bus.stream(auditStream).keep()
  const audit = new AuditLog({ bus, clock, log, instanceId })

  // Requests → who asks, and whether they may → answers.
  const socketsRefused = metrics.counter(
    'sockets_refused_total',
    'Sockets closed as they came: too many are open',
  )
  const refusals = metrics.counter('console_refusals_total', 'Requests refused or failed, by the reason', [
    'error',
  ])
  const http = createHttpServer({
    wheel,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    socketsMax: () => config.connectionsMax,
    onSocketRefused: () => socketsRefused.inc(),
    keepAlive: true,
    errorBody: failureOfStatus,
    describeError(error) {
      const failure = failureOf(error)
      refusals.inc({ error: failure.error })
      if (failure.error === 'internal') log.error({ err: error }, 'a request failed')
      return { status: failure.statusCode, body: failure.body }
    },
  })
  const headers = securityHeaders({ secure, tryIt: config.tryIt !== undefined })
  http.addHook('onSend', async (request, reply) => {
    reply.headers(headers)
    if (isApi(request)) reply.header('cache-control', 'no-store')
  })
  const cookie = new SessionCookie(secure)
  // JSON alone: what a form of another site could send is not understood.
  http.removeContentTypeParser('text/plain')
  const routes = addGuard(http, {
    ...{ cookie, sessions },
    origin: config.origin,
    trustedProxies: config.trustedProxies,
    addressRates: new RequestRates(rates.address, monotonic),
    userRates: new RequestRates(rates.user, monotonic),
    refused: async (request) => {
      const { method, routeOptions } = request
      const target = { route: `${method} ${routeOptions.url ?? ''}` }
      log.warn({ audit: { ...actorOf(request), ...target } }, 'an act was refused')
    },
  })
  addSignIn(http, {
    ...{ config, sessions, cookie, audit },
    now: () => clock.now(),
    attempts: new RequestRates(rates.signIn, monotonic),
  })
  const lookUps = new LookUps(bus, fleet, monotonic)
  const settings = new SettingsBoard(bus, fleet, monotonic)
  addRoutes(http, { ...{ bus, fleet, lookUps, settings, audit, clock }, tryIt: config.tryIt })
  http.get('/api/live', { config: { role: 'viewer' } }, (request, reply) => {
    const session = sessionOf(request)
    streams.admit(session)
    // A stream goes on for as long as the tab is open: what bounds it is its own.
    reply.hijack()
    handOverSocket(request.raw.socket)
    const { raw } = reply
    raw.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    streams.open(session, raw)
  })
  addPage(http, overrides.page ?? builtPage())
  metrics.gaugeOf('console_tabs', 'Live streams that are open', () => streams.size)
  metrics.gaugeOf('console_sessions', 'Sessions that are open', () => sessions.size)
  metrics.countOf(
    'console_rounds_total',
    'How often the fleet was asked for its numbers',
    () => collector.rounds,
  )

  let port: number | undefined
  service.add({
    async start() {
      port = await listen(http, {
        service: service.name,
        host: config.host,
        port: config.port,
        variable: 'CONSOLE_LISTEN_PORT',
      })
    },
    stop: async () => {
      streams.end()
      collector.stop()
      await http.close()
    },
  })
  return Object.assign(service, { port: () => port, collector, streams, sessions, routes })
}
