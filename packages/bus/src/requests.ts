import type { RequestChannel, SubjectParams } from '@carillon/events'
import { traceOutgoing } from '@carillon/tracing'
import {
  errors,
  type Msg,
  type NatsConnection,
  NoRespondersError,
  RequestError,
} from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { type Answer, deliveryOf, type Headers, withHeaders } from './delivery.ts'
import { BusUnavailable, NoResponders, PayloadTooLarge, RequestTimeout, reasonOf } from './errors.ts'

export interface RequestOptions {
  /** Default 2,000. */
  readonly timeoutMs?: number
  readonly headers?: Headers
}

const TIMEOUT_MS = 2_000
const ANSWERS_MAX = 10_000

/** The asking side of requests. */
export class Requests {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async one<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    options: RequestOptions,
  ): Promise<Answer<A>> {
    const subject = channel.subject(params)
    const bytes = channel.encode(payload)
    const message = { pattern: channel.pattern, bytes: bytes.length }
    return traceOutgoing('request', message, options.headers, (headers) =>
      this.#ask(channel, subject, bytes, headers, options.timeoutMs ?? TIMEOUT_MS),
    )
  }

  async #ask<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    subject: string,
    bytes: Uint8Array,
    headers: Headers | undefined,
    timeout: number,
  ): Promise<Answer<A>> {
    const nats = sendable(this.#connection, subject, bytes)
    let reply: Msg
    try {
      reply =
        channel.stream?.acknowledges === false
          ? await pastAcknowledgements(nats, subject, bytes, timeout, headers)
          : await nats.request(subject, bytes, { timeout, ...withHeaders(headers) })
    } catch (error) {
      throw translate(error, nats, subject, timeout)
    }
    return { payload: answerOf(channel, reply), header: deliveryOf(reply.headers).header }
  }

  async many<P extends string, Q, A>(
    channel: RequestChannel<P, Q, A>,
    params: SubjectParams<P>,
    payload: Q,
    waitMs: number,
  ): Promise<A[]> {
    const subject = channel.subject(params)
    const bytes = channel.encode(payload)
    const nats = sendable(this.#connection, subject, bytes)
    const answers: A[] = []
    try {
      for await (const reply of await nats.requestMany(subject, bytes, {
        strategy: 'timer',
        maxWait: waitMs,
      })) {
        try {
          answers.push(answerOf(channel, reply))
        } catch (error) {
          // One instance that answers nonsense must not hide the others.
          this.#connection.log.warn({ subject, reason: reasonOf(error) }, 'an answer is not understood')
        }
        if (answers.length >= ANSWERS_MAX) break
      }
    } catch (error) {
      const translated = translate(error, nats, subject, waitMs)
      if (!(translated instanceof NoResponders)) throw translated
    }
    return answers
  }
}

/** The client, if it can take this payload now. The client would queue without bound while it is away. */
export function sendable(connection: Connection, subject: string, bytes: Uint8Array): NatsConnection {
  const { nats } = connection
  if (nats === undefined) throw new BusUnavailable()
  const bytesMax = nats.info?.max_payload ?? Number.POSITIVE_INFINITY
  if (bytes.length > bytesMax) throw new PayloadTooLarge(subject, bytes.length, bytesMax)
  return nats
}

/**
 * A request whose subject a stream keeps that acknowledges nothing. Where such a stream has replicas, nats-server
 * (2.15 as well) acknowledges it all the same when it has seen the message's id before: `duplicate: true`. That is not
 * the answer, which comes from whoever works on the message.
 */
async function pastAcknowledgements(
  nats: NatsConnection,
  subject: string,
  bytes: Uint8Array,
  timeoutMs: number,
  headers: Headers | undefined,
): Promise<Msg> {
  const replies = await nats.requestMany(subject, bytes, {
    strategy: 'timer',
    maxWait: timeoutMs,
    ...withHeaders(headers),
  })
  for await (const reply of replies) if (!isDuplicate(reply)) return reply
  throw new RequestTimeout(subject, timeoutMs)
}

function isDuplicate(reply: Msg): boolean {
  const text = reply.string()
  if (!text.includes('"duplicate"')) return false
  try {
    const { stream, duplicate } = JSON.parse(text)
    return typeof stream === 'string' && duplicate === true
  } catch {
    return false
  }
}

function answerOf<P extends string, Q, A>(channel: RequestChannel<P, Q, A>, reply: Msg): A {
  const decoded = channel.reply.decode(reply.data)
  if (!decoded.ok) {
    throw new Error(`the answer to ${channel.pattern} is not understood: ${reply.string().slice(0, 200)}`)
  }
  return decoded.value
}

function translate(error: unknown, nats: NatsConnection, subject: string, timeoutMs: number): unknown {
  const none = error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders())
  if (none) return new NoResponders(subject)
  if (error instanceof errors.TimeoutError) return new RequestTimeout(subject, timeoutMs)
  // The link broke before the answer came.
  if (nats.isClosed()) return new BusUnavailable({ cause: error })
  return error
}
