import type { Event } from '@carillon/events'
import { headers, type MsgHdrs } from '@nats-io/transport-node'

/** Milliseconds since the epoch at which a publisher sent the message. */
const PUBLISHED_AT = 'Carillon-Published-At'

export type Headers = Readonly<Record<string, string>>

/** A decoded event with what NATS says about its delivery. */
export interface Delivery<P extends string, T> extends Event<P, T> {
  /** When it was published, in milliseconds since the epoch, if the publisher said so. */
  readonly publishedAtMs: number | undefined
  header(name: string): string | undefined
}

/** NATS headers as the client wants them. */
export function withHeaders(values: Headers | undefined): { headers?: MsgHdrs } {
  if (values === undefined) return {}
  const set = headers()
  for (const [name, value] of Object.entries(values)) set.set(name, value)
  return { headers: set }
}

/** What a message's headers say of its delivery. */
export function deliveryOf(messageHeaders: MsgHdrs | undefined) {
  const header = (name: string) => messageHeaders?.get(name) || undefined
  const publishedAtMs = messageHeaders === undefined ? Number.NaN : Number(header(PUBLISHED_AT))
  return { header, publishedAtMs: Number.isFinite(publishedAtMs) ? publishedAtMs : undefined }
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
