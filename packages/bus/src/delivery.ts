import type { Event } from '@carillon/events'
import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node'

/** Milliseconds since the epoch at which a publisher sent the message. */
const PUBLISHED_AT = 'Carillon-Published-At'
/** A time further away is a mistake of the publisher's or of its clock: it would spoil what is measured by it. */
const PAST_MS_MAX = 3_600_000
const FUTURE_MS_MAX = 10_000

export type Headers = Readonly<Record<string, string>>

/** A decoded event with what NATS says about its delivery. */
export interface Delivery<P extends string, T> extends Event<P, T> {
  /** When it was published, in milliseconds since the epoch, if the publisher said so and it can be true. */
  readonly publishedAtMs: number | undefined
  /** Where an answer is expected, if one is: see {@link Bus.answer}. */
  readonly replyTo?: string | undefined
  header(name: string): string | undefined
}

/** An answer with headers of its own, for `serve`. */
export class Reply<A> {
  readonly payload: A
  readonly headers: Headers

  constructor(payload: A, headers: Headers) {
    this.payload = payload
    this.headers = headers
  }
}

/** An answer as the asker gets it, with its headers. */
export interface Answer<A> {
  readonly payload: A
  header(name: string): string | undefined
}

/** NATS headers as the client wants them. @throws if a name or a value cannot stand in a header */
export function withHeaders(values: Headers | undefined): { headers?: MsgHdrs } {
  if (values === undefined) return {}
  const set = headers()
  for (const [name, value] of Object.entries(values)) set.set(name, value)
  return { headers: set }
}

/** A message as it came on the wire: what few ask for is read when they do. */
export class LiveDelivery<P extends string, T> implements Delivery<P, T> {
  readonly subject: string
  readonly params: Event<P, T>['params']
  readonly payload: T
  readonly bytes: Uint8Array
  readonly #message: Msg

  constructor({ subject, params, payload, bytes }: Event<P, T>, message: Msg) {
    this.subject = subject
    this.params = params
    this.payload = payload
    this.bytes = bytes
    this.#message = message
  }

  get publishedAtMs(): number | undefined {
    return publishedAt(this.#message.headers?.get(PUBLISHED_AT) || undefined)
  }

  get replyTo(): string | undefined {
    return this.#message.reply || undefined
  }

  /** A function by itself, so that it can be taken out of the delivery. */
  get header() {
    const { headers: found } = this.#message
    return (name: string) => found?.get(name) || undefined
  }
}

/** What a message's headers say of its delivery. */
export function deliveryOf(messageHeaders: MsgHdrs | undefined) {
  const header = (name: string) => messageHeaders?.get(name) || undefined
  return {
    header,
    publishedAtMs: messageHeaders === undefined ? undefined : publishedAt(header(PUBLISHED_AT)),
  }
}

function publishedAt(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const ms = Number(value)
  const ageMs = Date.now() - ms
  return ageMs <= PAST_MS_MAX && ageMs >= -FUTURE_MS_MAX ? ms : undefined
}
