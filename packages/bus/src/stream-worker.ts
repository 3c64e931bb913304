import type { EventChannel, SubjectParams } from '@carillon/events'
import { traceIncoming } from '@carillon/tracing'
import { AckPolicy, type JsMsg, jetstream } from '@nats-io/jetstream'
import { type NatsConnection, nanos } from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { delay } from './delay.ts'
import { reasonOf } from './errors.ts'
import type { Rejections } from './rejections.ts'
import type { Storage } from './storage.ts'
import { type StoredDelivery, storedDelivery } from './stream-follower.ts'

export interface WorkOptions<P extends string> {
  /** The ids of interest; a missing one means any. The same for all workers of one name. */
  readonly params?: Partial<SubjectParams<P>>
  /** A message that is not acknowledged within this time is given out again. Default 30,000. */
  readonly ackWaitMs?: number
  /** How long a message whose handler failed waits to be given out again. Default 1,000. */
  readonly retryMs?: number
  /** How often a message is given out before it is given up and logged; default: for ever. */
  readonly attemptsMax?: number
  /** How many messages this process deals with at once. Default 1: one after the other. */
  readonly concurrency?: number
}

const RETRY_MS = 1_000

export function work<P extends string, T>(
  connection: Connection,
  storage: Storage,
  rejections: Rejections,
  channel: EventChannel<P, T>,
  name: string,
  handle: (delivery: StoredDelivery<P, T>) => Promise<void>,
  options: WorkOptions<P>,
): () => Promise<void> {
  const { params = {}, ackWaitMs = 30_000, retryMs = 1_000, attemptsMax = -1, concurrency = 1 } = options
  const stopped = new AbortController()
  const underWay = new Set<Promise<void>>()
  storage.keep()

  const handleMessage = async (message: JsMsg) => {
    const delivery = storedDelivery(channel, message, rejections)
    if (delivery === undefined) return message.term('the payload is not valid')
    try {
      const traced = { pattern: channel.pattern, bytes: message.data.length }
      await traceIncoming(traced, delivery.header, () => handle(delivery))
      message.ack()
    } catch (error) {
      const givenUp = attemptsMax > 0 && delivery.attempt >= attemptsMax
      connection.log.error(
        {
          subject: message.subject,
          sequence: delivery.sequence,
          attempt: delivery.attempt,
          reason: reasonOf(error),
        },
        givenUp ? 'a stored message was given up' : 'a stored message was not dealt with, trying again',
      )
      if (givenUp) message.term('given up')
      else message.nak(retryMs)
    }
  }

  const pull = async (nats: NatsConnection) => {
    const manager = await storage.manager()
    await manager.consumers.add(storage.name, {
      durable_name: name,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ackWaitMs),
      max_deliver: attemptsMax,
      filter_subject: channel.filter(params as Partial<SubjectParams<P>>),
    })
    const consumer = await jetstream(nats).consumers.get(storage.name, name)
    const messages = await consumer.consume({ max_messages: concurrency, abort_on_missing_resource: true })
    const close = () => void messages.close()
    const forget = storage.onReplaced(close)
    stopped.signal.addEventListener('abort', close)
    try {
      for await (const message of messages) {
        // What is not acknowledged is given out again: to stop here loses nothing.
        if (stopped.signal.aborted) break
        const done: Promise<void> = handleMessage(message)
          .catch((error) =>
            connection.log.warn({ reason: reasonOf(error) }, 'a message could not be acknowledged'),
          )
          .finally(() => underWay.delete(done))
        underWay.add(done)
        if (underWay.size >= concurrency) await Promise.race(underWay)
      }
    } finally {
      forget()
      stopped.signal.removeEventListener('abort', close)
    }
  }

  const run = async (nats: NatsConnection) => {
    const current = () => connection.nats === nats && !stopped.signal.aborted
    while (current()) {
      try {
        await pull(nats)
      } catch (error) {
        connection.log.warn(
          { stream: storage.name, worker: name, reason: reasonOf(error) },
          'a worker failed',
        )
      }
      if (current()) await delay(RETRY_MS, stopped.signal)
    }
  }

  const forget = connection.onChange((connected) => {
    const { nats } = connection
    if (connected && nats !== undefined) void run(nats)
  })
  return async () => {
    stopped.abort()
    forget()
    await Promise.all(underWay)
  }
}
