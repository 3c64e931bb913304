import { type JetStreamManager, jetstreamManager, type StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { delay } from './delay.ts'
import { BusUnavailable, reasonOf } from './errors.ts'
import {
  bucketReplicas,
  ensureStream,
  type FixedConfig,
  isStreamNotFound,
  mayBeGone,
} from './stream-config.ts'

/**
 * How far a stream had been stored at a moment when everything stored until then had been delivered here. A stream
 * that was deleted and made again counts from 1 again: that is another epoch.
 */
export interface Checkpoint {
  readonly epoch: number
  readonly sequence: number
}

const CHECK_MS = 2_000
const RETRY_MS = 1_000
/** A stream without a leader is back within some seconds: one failed check is no outage. */
const FAILURES_MAX = 2
const API_TIMEOUT_MS = 3_000
const MARK_TIMEOUT_MS = 1_000

/**
 * One stream of JetStream, a bucket's included: made, or brought up to its definition, at first use and after each
 * reconnect. While it is kept it is looked at every two seconds, so that one that was deleted is noticed and made
 * again, and that it is known how far it had come before a link broke.
 */
export class Storage {
  readonly #connection: Connection
  readonly #kind: 'stream' | 'bucket'
  readonly #fixed: FixedConfig
  readonly #replacedListeners = new Set<() => void>()
  #ready: { readonly nats: NatsConnection; readonly manager: Promise<JetStreamManager> } | undefined
  #created: string | undefined
  #replicas = 1
  #epoch = 0
  /** The last sequence at the check before the last one, and at the last one. */
  #settled = 0
  #seen = 0
  #kept = false
  #essential = false
  #failures = 0
  #problem: string | undefined

  constructor(connection: Connection, kind: 'stream' | 'bucket', fixed: FixedConfig) {
    this.#connection = connection
    this.#kind = kind
    this.#fixed = fixed
  }

  get name(): string {
    return this.#fixed.name
  }

  /** How many servers keep it, as last seen. */
  get replicas(): number {
    return this.#replicas
  }

  get checkpoint(): Checkpoint {
    return { epoch: this.#epoch, sequence: this.#settled }
  }

  get kept(): boolean {
    return this.#kept
  }

  /** How far it has come by now. Where it does not say so within a second: how far it was known to be. */
  async mark(): Promise<Checkpoint> {
    const known = this.checkpoint
    const asked = this.use(({ streams }) => streams.info(this.name)).then(
      ({ state }) => ({ epoch: this.#epoch, sequence: state.last_seq }),
      () => known,
    )
    return Promise.race([asked, delay(MARK_TIMEOUT_MS).then(() => known)])
  }

  /** Whether this process is not ready while it is not available. */
  get essential(): boolean {
    return this.#essential
  }

  /** Why it is not available, or undefined. Known of what is kept. */
  get problem(): string | undefined {
    return this.#kept ? this.#problem : undefined
  }

  /** Keeps it: it is made whenever there is a connection, and looked at from then on. */
  keep(options: { readonly essential?: boolean } = {}): void {
    if (options.essential) this.#essential = true
    if (this.#kept) return
    this.#kept = true
    this.#problem = `${this.name} was not seen yet`
    this.#connection.onChange((connected) => {
      const { nats } = this.#connection
      if (connected && nats !== undefined) void this.#look(nats)
    })
  }

  /** Calls back when it was deleted and made again, by whomever; answers how to stop that. */
  onReplaced(listener: () => void): () => void {
    this.#replacedListeners.add(listener)
    return () => this.#replacedListeners.delete(listener)
  }

  /** Once it is as it should be. @throws {BusUnavailable}, or why it cannot be made */
  manager(): Promise<JetStreamManager> {
    const { nats } = this.#connection
    if (nats === undefined) return Promise.reject(new BusUnavailable())
    // After a reconnect the server may be another one, or may have lost it: look again.
    if (this.#ready?.nats !== nats) {
      const ready = { nats, manager: this.#open(nats) }
      this.#ready = ready
      ready.manager.catch(() => {
        if (this.#ready === ready) this.#ready = undefined
      })
    }
    return this.#ready.manager
  }

  /** Does something with it; once more, after it was made again, where it turns out to be gone. */
  async use<R>(operation: (manager: JetStreamManager, nats: NatsConnection) => Promise<R>): Promise<R> {
    const manager = await this.manager()
    const ready = this.#ready
    try {
      return await this.#attempt(operation, manager)
    } catch (error) {
      if (!mayBeGone(error)) throw error
      if (this.#ready === ready) this.#ready = undefined
      return this.#attempt(operation, await this.manager())
    }
  }

  async #attempt<R>(
    operation: (manager: JetStreamManager, nats: NatsConnection) => Promise<R>,
    manager: JetStreamManager,
  ): Promise<R> {
    const { nats } = this.#connection
    if (nats === undefined) throw new BusUnavailable()
    try {
      return await operation(manager, nats)
    } catch (error) {
      if (nats.isClosed()) throw new BusUnavailable({ cause: error })
      throw error
    }
  }

  async #open(nats: NatsConnection): Promise<JetStreamManager> {
    const manager = await jetstreamManager(nats, { checkAPI: false, timeout: API_TIMEOUT_MS })
    const info = await ensureStream(manager, this.#fixed, this.#replicasOn(nats), (mismatch) =>
      this.#connection.log.error({ stream: this.name }, mismatch),
    )
    this.#saw(info)
    return manager
  }

  #replicasOn(nats: NatsConnection): number {
    const { replicas, log } = this.#connection
    const version = nats.info?.version ?? ''
    if (this.#kind === 'stream' || replicas === 1 || bucketReplicas(replicas, version) === replicas)
      return replicas
    log.error(
      { stream: this.name, version },
      'compare-and-set does not hold with replicas before nats-server 2.10.20: a bucket is kept by one server',
    )
    return 1
  }

  /** Looks at it for as long as this connection lives. */
  async #look(nats: NatsConnection): Promise<void> {
    const current = () => this.#connection.nats === nats && !this.#connection.stopped.aborted
    while (current()) {
      const error = await this.#check().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (!current()) return
      if (error === undefined) this.#available()
      else this.#unavailable(error)
      await delay(error === undefined ? CHECK_MS : RETRY_MS, this.#connection.stopped)
    }
  }

  async #check(): Promise<void> {
    const manager = await this.manager()
    try {
      this.#saw(await manager.streams.info(this.name))
    } catch (error) {
      if (!isStreamNotFound(error)) throw error
      this.#connection.log.error({ stream: this.name }, 'a stream was deleted, making it again')
      this.#ready = undefined
      await this.manager()
    }
  }

  #saw({ created, config, state }: StreamInfo): void {
    const stamp = String(created)
    const replaced =
      this.#created !== undefined && (this.#created !== stamp || state.last_seq < this.#settled)
    this.#created = stamp
    this.#replicas = config.num_replicas
    // What the last check saw has been delivered by now: the answer of this one came behind it.
    this.#settled = replaced ? 0 : Math.min(this.#seen, state.last_seq)
    this.#seen = state.last_seq
    if (!replaced) return
    this.#epoch += 1
    this.#connection.log.warn({ stream: this.name }, 'a stream was deleted and made again')
    for (const listener of this.#replacedListeners) listener()
  }

  #available(): void {
    if (this.#failures >= FAILURES_MAX) {
      this.#connection.log.info({ stream: this.name }, 'a stream is available again')
    }
    this.#failures = 0
    this.#problem = undefined
  }

  #unavailable(error: unknown): void {
    this.#failures += 1
    if (this.#failures < FAILURES_MAX) return
    const reason = reasonOf(error)
    if (this.#problem === undefined || this.#failures === FAILURES_MAX) {
      this.#connection.log.error({ stream: this.name, reason }, 'a stream is not available')
    }
    this.#problem = `${this.name} is not available: ${reason}`
  }
}
