import { AckPolicy, type ConsumerConfig, type JsMsg, jetstream } from '@nats-io/jetstream'
import { createInbox, type NatsConnection, nanos } from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { delay } from './delay.ts'
import { reasonOf } from './errors.ts'
import type { Storage } from './storage.ts'

export interface OrderedReaderOptions {
  readonly connection: Connection
  readonly storage: Storage
  readonly filter: string
  /** Where to begin; asked each time the stream is opened. */
  readonly start: () => Pick<ConsumerConfig, 'deliver_policy'> & Partial<ConsumerConfig>
  /** The stream is open: so many stored messages are to come, from behind this sequence. */
  readonly opened?: (pending: number, sequence: number) => void
  readonly message: (message: JsMsg) => void
}

const HEARTBEAT_MS = 3_000
const RETRY_MS = 1_000

/**
 * Reads a stream in order and without gaps, for ever. The server's consumer behind it is made anew, from where
 * `start` says, after each reconnect, when the stream was made again, and when the consumer has fallen silent or a
 * message is missing. Answers how to stop it.
 */
export function readOrdered(options: OrderedReaderOptions): () => void {
  const { connection, storage } = options
  const stopped = new AbortController()
  storage.keep()

  const run = async (nats: NatsConnection) => {
    const current = () => connection.nats === nats && !stopped.signal.aborted
    while (current()) {
      try {
        await readUntilBroken(options, nats, stopped.signal)
      } catch (error) {
        connection.log.warn({ stream: storage.name, reason: reasonOf(error) }, 'reading a stream failed')
      }
      if (current()) await delay(RETRY_MS, stopped.signal)
    }
  }

  const forget = connection.onChange((connected) => {
    const { nats } = connection
    if (connected && nats !== undefined) void run(nats)
  })
  stopped.signal.addEventListener('abort', forget)
  return () => stopped.abort()
}

/** Returns when the reading has to begin anew. */
async function readUntilBroken(
  { connection, storage, filter, start, opened, message }: OrderedReaderOptions,
  nats: NatsConnection,
  stopped: AbortSignal,
): Promise<void> {
  const manager = await storage.manager()
  const deliverSubject = createInbox(connection.inboxPrefix)
  const { name, num_pending, delivered } = await manager.consumers.add(storage.name, {
    ...start(),
    filter_subject: filter,
    deliver_subject: deliverSubject,
    ack_policy: AckPolicy.None,
    max_deliver: 1,
    mem_storage: true,
    num_replicas: 1,
    flow_control: true,
    idle_heartbeat: nanos(HEARTBEAT_MS),
    inactive_threshold: nanos(30_000),
  })
  if (stopped.aborted || connection.nats !== nats) return
  opened?.(num_pending, delivered.stream_seq)

  const consumer = await jetstream(nats).consumers.getBoundPushConsumer({
    deliver_subject: deliverSubject,
    idle_heartbeat: nanos(HEARTBEAT_MS),
  })
  let expected = 1
  const messages = await consumer.consume({
    callback(next) {
      if (next.info.deliverySequence !== expected) return void messages.close()
      expected += 1
      // The client stops reading, for good, where a callback throws.
      try {
        message(next)
      } catch (error) {
        connection.log.error({ subject: next.subject, reason: reasonOf(error) }, 'handling a message failed')
      }
    },
  })
  const close = () => void messages.close()
  const forget = storage.onReplaced(close)
  stopped.addEventListener('abort', close)
  void closeWhenSilent(messages)
  await messages.closed()
  forget()
  stopped.removeEventListener('abort', close)
  if (!nats.isClosed()) manager.consumers.delete(storage.name, name).catch(() => {})
}

type Messages = Awaited<
  ReturnType<
    Awaited<ReturnType<ReturnType<typeof jetstream>['consumers']['getBoundPushConsumer']>>['consume']
  >
>

async function closeWhenSilent(messages: Messages): Promise<void> {
  for await (const status of messages.status()) {
    if (status.type === 'heartbeats_missed' || status.type === 'consumer_deleted') void messages.close()
  }
}
