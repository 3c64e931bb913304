import type { Payload, Result } from './payload.ts'
import type { StreamDefinition } from './storage.ts'
import { type ParamValues, type SubjectParams, SubjectPattern } from './subject.ts'

/** One message, decoded and validated once at the edge. */
export interface Event<P extends string = string, T = unknown> {
  readonly subject: string
  readonly params: SubjectParams<P>
  readonly payload: T
  /** The payload as it came, so that it can be passed on without being printed again. */
  readonly bytes: Uint8Array
}

/** One of several kinds of message of a channel, for the published contract. */
export interface MessageDescription {
  readonly summary: string
  readonly schema: object
}

export interface EventOptions<P extends string, T> {
  readonly summary: string
  readonly payload: Payload<T>
  /** Seen from Carillon: does it receive these messages or send them? */
  readonly direction: 'receive' | 'send'
  /** The stream that keeps these messages. */
  readonly stream?: StreamDefinition
  /** Where a channel carries several kinds of message, told apart by an id in the subject: each one's schema. */
  readonly messages?: Readonly<Record<string, MessageDescription>>
  /**
   * Holds payload and subject against each other: answers the payload (completed, if need be) or the reason
   * to drop the message.
   */
  readonly refine?: (params: SubjectParams<P>, payload: T) => Result<T>
}

export interface RequestOptions<P extends string, Q, A> extends EventOptions<P, Q> {
  readonly reply: Payload<A>
  /** One answer from whoever serves it, or one from every instance. */
  readonly answers: 'one' | 'every-instance'
}

/** A subject pattern with the payload that travels on it. */
export class EventChannel<P extends string = string, T = unknown> extends SubjectPattern<P> {
  readonly summary: string
  readonly payload: Payload<T>
  readonly direction: 'receive' | 'send'
  readonly stream: StreamDefinition | undefined
  readonly messages: Readonly<Record<string, MessageDescription>> | undefined
  readonly #refine: EventOptions<P, T>['refine']

  constructor(pattern: P, options: EventOptions<P, T>) {
    super(pattern)
    this.summary = options.summary
    this.payload = options.payload
    this.direction = options.direction
    this.stream = options.stream
    this.messages = options.messages
    this.#refine = options.refine
  }

  /** Bytes in, typed event out; the reason says what is wrong, for the log and the metric. Never throws. */
  decode(subject: string, bytes: Uint8Array): Result<Event<P, T>> {
    const params = this.parse(subject)
    if (params === undefined) return { ok: false, reason: `subject does not match ${this.pattern}` }
    const decoded = this.payload.decode(bytes)
    if (!decoded.ok) return decoded
    if (this.#refine === undefined)
      return { ok: true, value: { subject, params, payload: decoded.value, bytes } }
    try {
      const refined = this.#refine(params, decoded.value)
      if (!refined.ok) return refined
      const payload = refined.value
      const raw = payload === decoded.value ? bytes : this.payload.encode(payload)
      return { ok: true, value: { subject, params, payload, bytes: raw } }
    } catch (error) {
      // What is nested deeper than the stack can be read, but not printed.
      return { ok: false, reason: error instanceof Error ? error.message : String(error) }
    }
  }

  /** A typed payload as bytes. @throws {TypeError} if it does not match the schema. */
  encode(payload: T): Uint8Array {
    return this.payload.encode(payload)
  }
}

/** A channel whose messages are answered. */
export class RequestChannel<P extends string = string, Q = unknown, A = unknown> extends EventChannel<P, Q> {
  readonly reply: Payload<A>
  readonly answers: 'one' | 'every-instance'

  constructor(pattern: P, options: RequestOptions<P, Q, A>) {
    super(pattern, options)
    this.reply = options.reply
    this.answers = options.answers
  }
}

export function defineEvent<const P extends string, T>(
  pattern: P,
  options: EventOptions<P, T>,
): EventChannel<P, T> {
  return new EventChannel(pattern, options)
}

export function defineRequest<const P extends string, Q, A>(
  pattern: P,
  options: RequestOptions<P, Q, A>,
): RequestChannel<P, Q, A> {
  return new RequestChannel(pattern, options)
}

/** For `refine`: the named payload field must be the id that stands in the subject under the same name. */
export function agreesWithSubject(field: string) {
  return <T>(params: unknown, payload: T): Result<T> => {
    const inSubject = (params as ParamValues)[field]
    const inPayload = String((payload as Record<string, unknown>)[field])
    if (inSubject === inPayload) return { ok: true, value: payload }
    return { ok: false, reason: `${field} is ${inPayload} in the payload, ${inSubject} in the subject` }
  }
}
