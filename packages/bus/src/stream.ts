import type { StreamDefinition } from '@carillon/events'
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StreamConfig,
} from '@nats-io/jetstream'
import { type MsgHdrs, type NatsConnection, nanos } from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { BusUnavailable } from './errors.ts'

/** One stored message. */
export interface StoredMessage {
  readonly subject: string
  readonly bytes: Uint8Array
  readonly sequence: number
  readonly storedAtMs: number
}

/** A JetStream stream that is made, or brought up to its definition, on demand. */
export class Stream {
  readonly #connection: Connection
  readonly #definition: StreamDefinition
  #ready:
    | {
        readonly nats: NatsConnection
        readonly reconnects: number
        readonly manager: Promise<JetStreamManager>
      }
    | undefined

  constructor(connection: Connection, definition: StreamDefinition) {
    this.#connection = connection
    this.#definition = definition
  }

  static async publish(
    nats: NatsConnection,
    subject: string,
    bytes: Uint8Array,
    headers?: MsgHdrs,
  ): Promise<number> {
    const ack = await jetstream(nats).publish(subject, bytes, { ...(headers && { headers }) })
    return ack.seq
  }

  /** Makes the stream, or updates it where it differs from its definition. Idempotent. */
  async ensure(): Promise<void> {
    await this.#manager()
  }

  /** The last message of a subject, or undefined where there is none. @throws {BusUnavailable} */
  async last(subject: string): Promise<StoredMessage | undefined> {
    const manager = await this.#manager()
    const found = await manager.direct.getMessage(this.#definition.name, { last_by_subj: subject })
    if (found === null) return undefined
    return {
      subject: found.subject,
      // A slice would keep the whole network buffer alive.
      bytes: Uint8Array.from(found.data),
      sequence: found.seq,
      storedAtMs: found.time.getTime(),
    }
  }

  #manager(): Promise<JetStreamManager> {
    const { nats, connected, reconnects } = this.#connection
    if (nats === undefined || !connected) return Promise.reject(new BusUnavailable())
    // After a reconnect the server may be another one, or may have lost a memory stream: look again.
    if (this.#ready?.nats !== nats || this.#ready.reconnects !== reconnects) {
      const manager = this.#open(nats)
      const ready = { nats, reconnects, manager }
      this.#ready = ready
      manager.catch(() => {
        if (this.#ready === ready) this.#ready = undefined
      })
    }
    return this.#ready.manager
  }

  async #open(nats: NatsConnection): Promise<JetStreamManager> {
    const manager = await jetstreamManager(nats, { checkAPI: false })
    await ensureStream(manager, streamConfig(this.#definition))
    return manager
  }
}

function streamConfig(definition: StreamDefinition): Partial<StreamConfig> & { name: string } {
  return {
    name: definition.name,
    subjects: [...definition.subjects],
    max_msgs_per_subject: definition.messagesPerSubject,
    max_age: nanos(definition.maxAgeMs),
    storage: definition.storage,
    allow_direct: true,
  }
}

/** Adds the stream; where it stands already and differs, updates just what the definition fixes. */
async function ensureStream(
  manager: JetStreamManager,
  wanted: Partial<StreamConfig> & { name: string },
): Promise<void> {
  try {
    const { config } = await manager.streams.info(wanted.name)
    const differs = Object.entries(wanted).some(
      ([key, value]) => JSON.stringify(config[key as keyof StreamConfig]) !== JSON.stringify(value),
    )
    if (differs) await manager.streams.update(wanted.name, { ...config, ...wanted })
  } catch (error) {
    const missing = error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound
    if (!missing) throw error
    await manager.streams.add(wanted)
  }
}
