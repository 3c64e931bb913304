import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { Bus, LiveSettings } from '@carillon/bus'
import { commonSettings, control, inboxPrefix } from '@carillon/events'
import { startTracing, type Tracing } from '@carillon/tracing'
import type { FastifyInstance } from 'fastify'
import type { DestinationStream } from 'pino'
import { createAdminServer } from './admin.ts'
import { type Clock, systemClock } from './clock.ts'
import type { CommonConfig } from './common-config.ts'
import { listen } from './listening.ts'
import { LogDestination } from './log-destination.ts'
import { createLogger, type Logger, standardOutput } from './logger.ts'
import { Metrics } from './metrics.ts'
import { RateLimitedLog } from './rate-limited-log.ts'
import { SecretWatch } from './secret-watch.ts'
import { StatsReporter } from './stats.ts'
import { TimingWheel } from './timing-wheel.ts'

/** What tests replace. */
export interface Overrides {
  readonly clock?: Clock
  readonly instanceId?: string
  readonly logDestination?: DestinationStream
}

/** A part of a service with a beginning and an end of its own, such as its listener. */
export interface Part {
  start?(): void | Promise<void>
  /** The instance is going away: send clients elsewhere. Runs while NATS still stands. */
  drain?(overMs: number): Promise<void>
  stop?(): void | Promise<void>
  /** Why the service should get nothing to do at the moment, for `/readyz`; undefined where nothing is amiss. */
  notReady?(): string | undefined
}

export interface ServiceOptions {
  readonly name: string
  readonly config: CommonConfig
  readonly overrides?: Overrides
  /** Sources of secrets: those that are watched files are looked after. */
  readonly secrets?: readonly unknown[]
}

/** Of every service: they are released together. */
const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
/** How long the last spans may delay the end of the process. */
const SPANS_TIMEOUT_MS = 2_000

type Phase = 'starting' | 'ready' | 'draining' | 'stopped'

/**
 * What every deployable has: a logger, metrics, the bus, live settings, one timing wheel, an admin port, and a
 * life in order. Parts start in the order they were added and stop in reverse.
 */
export class Service {
  readonly name: string
  readonly instanceId: string
  readonly version = VERSION
  readonly config: CommonConfig
  readonly startedAtMs: number
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly log: Logger
  readonly metrics: Metrics
  readonly bus: Bus
  readonly settings: LiveSettings
  readonly #admin: FastifyInstance
  readonly #stats: StatsReporter
  readonly #createdAtMs: number
  readonly #secretWatch: SecretWatch
  readonly #busLog: RateLimitedLog
  readonly #parts: Part[] = []
  #phase: Phase = 'starting'
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #adminPort: number | undefined
  #tracing: Tracing | undefined

  constructor({ name, config, overrides = {}, secrets = [] }: ServiceOptions) {
    this.name = name
    this.config = config
    this.instanceId = overrides.instanceId ?? `${hostname()}-${randomBytes(4).toString('hex')}`
    this.clock = overrides.clock ?? systemClock
    this.startedAtMs = this.clock.now()
    this.#createdAtMs = this.clock.monotonic()
    this.wheel = new TimingWheel(this.clock)
    const destination = overrides.logDestination ?? standardOutput(name, this.instanceId)
    this.log = createLogger(name, this.instanceId, config.logLevel, destination)
    this.metrics = new Metrics(name)
    const busLog = new RateLimitedLog(this.log, () => this.clock.monotonic())
    this.#busLog = busLog
    this.bus = new Bus({
      inboxPrefix: inboxPrefix(name),
      ...config.nats,
      name: `${name} ${this.instanceId}`,
      log: busLog,
    })
    this.settings = new LiveSettings(this.bus, name)
    this.settings.follow(commonSettings.logLevel, config.logLevel as 'info', (level) => {
      this.log.level = level
    })
    this.#admin = createAdminServer({
      instanceId: this.instanceId,
      metrics: this.metrics,
      wheel: this.wheel,
      notReady: () => this.#notReady(),
    })
    this.#stats = new StatsReporter(this)
    this.#serveStats()
    this.#secretWatch = new SecretWatch(secrets, this.log, this.metrics)
    this.#describeBus()
    this.#describeLog(destination, busLog)
    this.#describeTracing()
  }

  /** How long a drain may take, in milliseconds. */
  get drainLimitMs(): number {
    return (this.config.drainDelaySeconds + this.config.drainSeconds) * 1_000
  }

  get draining(): boolean {
    return this.#phase === 'draining' || this.#phase === 'stopped'
  }

  /** The admin port that is listened on, once started. */
  get adminPort(): number {
    if (this.#adminPort === undefined) throw new Error('the service is not started')
    return this.#adminPort
  }

  add<P extends Part>(part: P): P {
    this.#parts.push(part)
    return part
  }

  /** Opens everything. Does not wait for NATS: `/readyz` tells. @throws {PortError} */
  start(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  /** Drains and closes; a second call answers the first one's promise. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #start(): Promise<void> {
    const { adminHost, adminPort, adminPortVariable } = this.config
    this.#adminPort = await listen(this.#admin, {
      service: this.name,
      host: adminHost,
      port: adminPort,
      variable: adminPortVariable,
    })
    await this.#startTracing()
    this.bus.start()
    this.settings.start()
    this.wheel.start()
    this.#secretWatch.start()
    try {
      for (const part of this.#parts) await part.start?.()
    } catch (error) {
      await this.#close()
      throw error
    }
    this.#phase = 'ready'
    this.log.info({ admin_port: this.#adminPort }, 'started')
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => {})
    if (this.#phase === 'ready') {
      this.#phase = 'draining'
      this.log.info('draining')
      const { drainSeconds } = this.config
      for (const part of this.#parts) await part.drain?.(drainSeconds * 1_000)
    }
    await this.#close()
    this.log.info('stopped')
  }

  async #close(): Promise<void> {
    this.#phase = 'stopped'
    for (const part of this.#parts.toReversed()) await part.stop?.()
    this.wheel.stop()
    this.#stats.stop()
    this.#secretWatch.stop()
    this.settings.stop()
    await this.bus.stop()
    await this.#tracing?.stop(SPANS_TIMEOUT_MS)
    await this.#admin.close()
  }

  async #startTracing(): Promise<void> {
    const { config, name, instanceId } = this
    if (config.tracing === undefined) return
    this.#tracing = await startTracing({
      config: config.tracing,
      service: name,
      instanceId,
      exportFailed: (reason) => this.#busLog.warn({ reason }, 'spans could not be exported'),
    })
  }

  #notReady(): string | undefined {
    if (this.#phase !== 'ready') return this.#phase
    if (!this.bus.connected) return 'NATS is not connected'
    for (const part of this.#parts) {
      const reason = part.notReady?.()
      if (reason !== undefined) return reason
    }
    return this.bus.storage.find(({ essential, problem }) => essential && problem !== undefined)?.problem
  }

  /** Operators ask while they look, once a second or so; nothing is measured for them otherwise. */
  #serveStats(): void {
    this.bus.serve(control.stats, { service: this.name }, async () => ({
      service: this.name,
      instance_id: this.instanceId,
      region: this.config.region,
      version: this.version,
      started_at: this.startedAtMs,
      uptime_ms: this.clock.monotonic() - this.#createdAtMs,
      state: this.draining ? 'draining' : this.#notReady() === undefined ? 'ready' : 'not_ready',
      ...(await this.#stats.read()),
      settings: this.settings.current,
    }))
  }

  #describeBus(): void {
    const { metrics, bus } = this
    const rejected = metrics.counter('rejected_payloads_total', 'NATS payloads refused, by domain', [
      'domain',
    ])
    bus.onRejected(({ subject }) => rejected.inc({ domain: subject.split('.', 1)[0] ?? '' }))
    metrics.gaugesOf(
      'nats_storage_available',
      'Whether a stream or bucket of NATS that is used can be used, by its name',
      'storage',
      () => bus.storage.map(({ name, problem }) => [name, Number(problem === undefined)]),
    )
    metrics.gaugeOf('nats_connected', 'Whether NATS is connected', () => Number(bus.connected))
    metrics.countOf('nats_reconnects_total', 'Reconnects to NATS', () => bus.reconnects)
  }

  #describeTracing(): void {
    const counts = () => this.#tracing?.counts ?? { ended: 0, exported: 0, failed: 0 }
    const { metrics } = this
    metrics.countOf('trace_spans_total', 'Spans that were made', () => counts().ended)
    metrics.countOf('trace_spans_exported_total', 'Spans that the collector took', () => counts().exported)
    metrics.countOf('trace_spans_failed_total', 'Spans it did not take', () => counts().failed)
  }

  #describeLog(destination: DestinationStream, busLog: RateLimitedLog): void {
    const { metrics } = this
    metrics.countOf('log_lines_dropped_total', 'Log lines that could not be written', () =>
      destination instanceof LogDestination ? destination.dropped : 0,
    )
    metrics.countOf(
      'log_lines_suppressed_total',
      'Log lines left out because their message came too often',
      () => busLog.suppressed,
    )
  }
}
