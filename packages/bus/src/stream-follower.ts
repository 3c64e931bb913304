import type { EventChannel, SubjectParams } from '@carillon/events'
import { traceIncoming, tracing } from '@carillon/tracing'
import { DeliverPolicy, type JsMsg } from '@nats-io/jetstream'
import type { Connection } from './connection.ts'
import { type Delivery, deliveryOf } from './delivery.ts'
import { readOrdered } from './ordered-reader.ts'
import type { Rejections } from './rejections.ts'
import type { Storage } from './storage.ts'

/** A stored message that is valid. */
export interface StoredDelivery<P extends string, T> extends Delivery<P, T> {
  readonly sequence: number
  readonly storedAtMs: number
  /** 1, or more where it was given out before. */
  readonly attempt: number
}

export interface FollowOptions<P extends string> {
  /** The ids of interest; a missing one means any. */
  readonly params?: Partial<SubjectParams<P>>
  /** From the first message (default), each subject's last one, what comes from now on, or a sequence. */
  readonly from?: 'first' | 'last-per-subject' | 'new' | number
}

export function follow<P extends string, T>(
  connection: Connection,
  storage: Storage,
  rejections: Rejections,
  channel: EventChannel<P, T>,
  handle: (delivery: StoredDelivery<P, T>) => void,
  { params = {}, from = 'first' }: FollowOptions<P>,
): () => void {
  let last: number | undefined
  const forget = storage.onReplaced(() => {
    // Another stream, whose messages are all new.
    last = 0
  })
  const stop = readOrdered({
    connection,
    storage,
    filter: channel.filter(params as Partial<SubjectParams<P>>),
    start: () => (last === undefined ? startOf(from) : fromSequence(last + 1)),
    opened: (_pending, sequence) => {
      // Nothing published from now on may be missed, though nothing has come yet.
      if (from === 'new') last ??= sequence
    },
    message(message) {
      last = message.info.streamSequence
      const delivery = storedDelivery(channel, message, rejections)
      if (delivery === undefined) return
      if (!tracing.enabled) return handle(delivery)
      const traced = { pattern: channel.pattern, bytes: message.data.length }
      traceIncoming(traced, delivery.header, () => handle(delivery))
    },
  })
  return () => {
    forget()
    stop()
  }
}

/** The message as a valid event, or undefined where it was refused. */
export function storedDelivery<P extends string, T>(
  channel: EventChannel<P, T>,
  message: JsMsg,
  rejections: Rejections,
): StoredDelivery<P, T> | undefined {
  const decoded = channel.decode(message.subject, message.data)
  if (!decoded.ok) {
    rejections.add(message.subject, decoded.reason)
    return undefined
  }
  const { streamSequence, deliveryCount } = message.info
  return {
    ...decoded.value,
    ...deliveryOf(message.headers),
    sequence: streamSequence,
    storedAtMs: message.time.getTime(),
    attempt: deliveryCount,
  }
}

function startOf(from: NonNullable<FollowOptions<string>['from']>) {
  if (typeof from === 'number') return fromSequence(from)
  if (from === 'new') return { deliver_policy: DeliverPolicy.New }
  return { deliver_policy: from === 'first' ? DeliverPolicy.All : DeliverPolicy.LastPerSubject }
}

function fromSequence(sequence: number) {
  return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, sequence) }
}
