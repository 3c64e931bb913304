import type { GatewayCloseCodes } from '@carillon/codec'
import { type Counters, createCounters } from '@carillon/fanout'
import type { Clock, Logger, Metrics, TimingWheel } from '@carillon/service'
import type { Counter } from 'prom-client'
import type { ClientConnection } from './client-connection.ts'
import { closeEvenly } from './drain.ts'
import type { Limits } from './limits.ts'
import { Registry } from './registry.ts'
import { ConnectionRotation } from './rotation.ts'
import { UserShares } from './user-share.ts'

export interface GatewayOptions {
  readonly service: string
  readonly limits: Limits
  readonly closeCodes: GatewayCloseCodes
  /** Connections are closed at this age at the latest, in milliseconds; 0, the default, for never. */
  readonly connectionAgeMaxMs?: number
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly log: Logger
  readonly metrics: Metrics
}

/**
 * Close codes that the WebSocket protocol defines. Any other one is the client's own idea and is counted as
 * `other`: a client that could name metrics could fill the memory with them.
 */
const PROTOCOL_CODES = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013]

/** The limit that keeps a client out. */
export type Refusal = 'draining' | 'sockets' | 'instance' | 'address' | 'user' | 'unauthenticated'

/**
 * What all connections of a gateway share, whatever their transport: limits, the registry, counters and the
 * metrics made of them. A transport asks {@link refusal} before it lets a client in, and reports what becomes of
 * it.
 */
export class Gateway<C extends ClientConnection = ClientConnection> {
  readonly service: string
  readonly limits: Limits
  readonly closeCodes: GatewayCloseCodes
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly log: Logger
  readonly connections = new Registry<C>()
  readonly counters: Counters = createCounters()
  readonly users: UserShares
  /** Bytes of messages that clients have begun to send, over all connections. */
  readonly unfinished = { bytes: 0 }
  readonly #rotation: ConnectionRotation<C>
  readonly #opened: Counter
  readonly #closed: Counter<'code'>
  readonly #refused: Counter<'reason'>
  readonly #authFailures: Counter<'reason'>
  readonly #knownCodes: ReadonlySet<number>
  #accepting = true
  #framesIn = 0
  #bytesIn = 0

  constructor(options: GatewayOptions) {
    const { service, limits, closeCodes, connectionAgeMaxMs = 0, clock, wheel, log, metrics } = options
    this.service = service
    this.limits = limits
    this.closeCodes = closeCodes
    this.clock = clock
    this.wheel = wheel
    this.log = log
    this.users = new UserShares(limits, wheel, () => clock.monotonic())
    const own = Object.values(closeCodes).map(({ code }) => code)
    this.#knownCodes = new Set([...PROTOCOL_CODES, ...own])
    const rotated = metrics.counter('connections_rotated_total', 'Connections closed for their age')
    this.#rotation = new ConnectionRotation(connectionAgeMaxMs, wheel, closeCodes.draining, () =>
      rotated.inc(),
    )
    this.#opened = metrics.counter('connections_opened_total', 'Connections opened')
    this.#closed = metrics.counter('connections_closed_total', 'Connections closed, by close code', ['code'])
    this.#refused = metrics.counter('connections_refused_total', 'Connections refused by a limit', ['reason'])
    this.#authFailures = metrics.counter(
      'auth_failures_total',
      'Clients refused for their credentials: missing, malformed, unsupported_algorithm, bad_signature, expired, not_yet_valid, keys_unavailable',
      ['reason'],
    )
    this.#describeTo(metrics)
  }

  /** Which limit keeps a client out, if one does. Asked again once the user is known. */
  refusal(address: string, userId?: string): Refusal | undefined {
    const { limits, connections } = this
    if (!this.#accepting) return 'draining'
    if (connections.size >= limits.connectionsMax) return 'instance'
    if (connections.countOfAddress(address) >= limits.connectionsPerAddressMax) return 'address'
    if (userId !== undefined && connections.countOfUser(userId) >= limits.connectionsPerUserMax) return 'user'
    return undefined
  }

  refused(reason: Refusal): void {
    this.#refused.inc({ reason })
  }

  authenticationFailed(reason: string): void {
    this.#authFailures.inc({ reason })
  }

  opened(connection: C): void {
    this.connections.add(connection)
    this.#rotation.opened(connection)
    this.#opened.inc()
  }

  ended(connection: C, code: number): void {
    this.connections.remove(connection)
    this.#rotation.ended(connection)
    this.#closed.inc({ code: this.#knownCodes.has(code) ? String(code) : 'other' })
  }

  /** Every frame a client sends, pings and pongs included; bytes of payload. */
  frameReceived(bytes: number): void {
    this.#framesIn += 1
    this.#bytesIn += bytes
  }

  /** A handler threw something that is no protocol error: our own mistake. */
  handlerFailed(error: unknown): void {
    this.log.error({ err: error }, 'a handler failed')
  }

  /** Lets nobody in from now on; open connections stay. */
  stopAccepting(): void {
    this.#accepting = false
  }

  /** Closes all connections evenly over so many milliseconds, and waits until they are gone. */
  async drain(overMs: number): Promise<void> {
    await closeEvenly(this.connections, this.closeCodes.draining, overMs, this.limits.closeMs)
  }

  #describeTo(metrics: Metrics): void {
    const { connections, counters } = this
    metrics.countOf('frames_in_total', 'Frames received, pings and pongs included', () => this.#framesIn)
    metrics.countOf('bytes_in_total', 'Payload bytes received', () => this.#bytesIn)
    metrics.gaugeOf('connections', 'Open connections', () => connections.size)
    metrics.gaugeOf('connections_max', 'Connections that are let in', () => this.limits.connectionsMax)
    metrics.gaugeOf(
      'unfinished_bytes',
      'Bytes of messages that clients have begun to send',
      () => this.unfinished.bytes,
    )
    metrics.gaugeOf('queued_bytes', 'Bytes that wait for clients', () => {
      let bytes = 0
      for (const connection of connections) bytes += connection.queuedBytes
      return bytes
    })
    metrics.countOf('deliveries_total', 'Messages handed to sockets', () => counters.deliveries)
    metrics.countOf('writes_total', 'Socket writes', () => counters.writes)
    metrics.countOf(
      'coalesced_total',
      'Messages that shared a write',
      () => counters.deliveries - counters.writes,
    )
    metrics.countOf('bytes_out_total', 'Bytes handed to sockets', () => counters.bytes)
    metrics.countOf('conflated_total', 'Messages replaced by a newer one', () => counters.conflated)
    metrics.countOf('dropped_total', 'Messages dropped for a full outbox', () => counters.dropped)
    metrics.countOf(
      'slow_consumers_total',
      'Connections closed as slow consumers',
      () => counters.slowConsumers,
    )
  }
}
