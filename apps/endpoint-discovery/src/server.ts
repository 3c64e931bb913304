import { setTimeout as sleep } from 'node:timers/promises'
import { discovery } from '@carillon/events'
import { createHttpServer, listen, type Overrides, Service } from '@carillon/service'
import { catalog, DEFAULT_SERVICE, isServiceKey, type ServiceKey, serviceKeys } from './catalog.ts'
import type { DiscoveryConfig } from './config.ts'
import { type Announced, Instances } from './instances.ts'
import { readParameters, refuseSignature } from './query.ts'

export { type DiscoveryConfig, readConfig } from './config.ts'

const failure = (reason: string) => ({ error_code: -1, error_reason: reason })

/** Tells clients which endpoint to use. Answers come from memory: they never wait for NATS. */
export function create(config: DiscoveryConfig, overrides: Overrides = {}) {
  const service = new Service({
    name: 'endpoint-discovery',
    config,
    overrides,
  })
  const { bus, clock, metrics, wheel } = service

  // Announcements → the table of live instances.
  const instances = new Instances()
  for (const name of Object.values(catalog)) {
    bus.subscribe(discovery.announce, { service: name }, ({ subject, payload }) => {
      if (!instances.announced(payload, clock.monotonic()))
        bus.reject(subject, 'the service has too many instances')
    })
  }
  bus.onChange((connected) => (connected ? instances.connected(clock.monotonic()) : instances.disconnected()))

  const isComplete = () => instances.isComplete(clock.monotonic())

  // The table → answers.
  const answered = metrics.counter(
    'discovery_answers_total',
    'Answers by the service asked for, and outcome: found, fallback, none',
    ['asked', 'outcome'],
  )

  function endPoint(key: ServiceKey, region: string | undefined) {
    const found: Announced | undefined = instances.pick(catalog[key], region, clock.monotonic())
    const url = found?.end_point ?? config.fallbacks.get(key)
    answered.inc({ asked: key, outcome: found ? 'found' : url ? 'fallback' : 'none' })
    if (url === undefined) {
      return failure(isComplete() ? `no ${key} endpoint is live` : 'the live endpoints are not known yet')
    }
    return { error_code: 0, error_reason: '', end_point: url, ping_interval: config.pingIntervalS }
  }

  const socketsRefused = metrics.counter(
    'sockets_refused_total',
    'Sockets closed as they came: too many are open',
  )
  const http = createHttpServer({
    wheel,
    socketsMax: () => config.connectionsMax,
    onSocketRefused: () => socketsRefused.inc(),
    keepAlive: true,
    errorBody: (status) =>
      failure(status === 404 ? 'there is nothing here' : 'the request is not understood'),
  })

  // Pages of any origin may read the answers: they are the same for everybody, and no cookie counts.
  http.addHook('onSend', async (_request, reply) => {
    reply.header('access-control-allow-origin', '*')
  })

  http.get('/iapi/websocket/end_point', async (request) => {
    const parameters = readParameters(request.query)
    if (parameters === undefined) return failure('a parameter is given twice')
    const refused = refuseSignature(parameters, config, clock.now())
    if (refused !== undefined) return failure(refused)
    const { service: key = DEFAULT_SERVICE, region } = parameters
    if (!isServiceKey(key)) return failure(`service must be one of ${serviceKeys.join(', ')}`)
    return endPoint(key, region)
  })

  http.get('/iapi/websocket/end_points', async (request) => {
    const parameters = readParameters(request.query)
    if (parameters === undefined) return failure('a parameter is given twice')
    const refused = refuseSignature(parameters, config, clock.now())
    if (refused !== undefined) return failure(refused)
    const endPoints = serviceKeys.map((key) => [key, endPoint(key, parameters.region)])
    return { error_code: 0, error_reason: '', end_points: Object.fromEntries(endPoints) }
  })

  let port: number | undefined
  service.add({
    async start() {
      port = await listen(http, {
        service: service.name,
        host: config.host,
        port: config.port,
        variable: 'DISCOVERY_LISTEN_PORT',
      })
    },
    notReady: () => (isComplete() ? undefined : 'instances have not had the time to announce themselves'),
    // Answers stay good while load balancers learn that this instance goes away.
    drain: () => sleep(config.drainDelaySeconds * 1_000),
    stop: async () => http.close(),
  })
  return Object.assign(service, { port: () => port })
}
