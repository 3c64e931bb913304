import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'

/** A value, or the reason why there is none. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string }

/** How one kind of payload is read from and written to the bytes of a NATS message. */
export interface Payload<T> {
  readonly contentType: string
  /** JSON Schema of the payload, for the published contract. */
  readonly schema: object
  /** Never throws, whatever the bytes. */
  decode(bytes: Uint8Array): Result<T>
  /** Checks a value that was decoded elsewhere. */
  check(value: unknown): Result<T>
  /** @throws {TypeError} if the value does not match the schema: that is our own mistake. */
  encode(value: T): Uint8Array
}

// fatal: broken UTF-8 in a text frame would make every client drop its connection.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const toUtf8 = new TextEncoder()

/** UTF-8 JSON, checked against a compiled schema. Unknown extra fields are kept. */
export function json<S extends TSchema>(schema: S): Payload<Static<S>> {
  const validator = Compile(schema)
  const violation = (value: unknown) => {
    const error = validator.Errors(value)[0]
    return error ? `${error.instancePath || 'payload'} ${error.message}` : 'does not match its schema'
  }
  const check = (value: unknown): Result<Static<S>> =>
    validator.Check(value) ? { ok: true, value: value as Static<S> } : { ok: false, reason: violation(value) }
  return {
    contentType: 'application/json',
    schema,
    check,
    decode(bytes) {
      let value: unknown
      try {
        value = JSON.parse(utf8.decode(bytes))
      } catch {
        return { ok: false, reason: 'not UTF-8 JSON' }
      }
      return check(value)
    },
    encode(value) {
      if (!validator.Check(value)) throw new TypeError(violation(value))
      return toUtf8.encode(JSON.stringify(value))
    },
  }
}

/** Bytes that this contract does not look into, such as a protobuf message that another schema describes. */
export function binary(contentType: string): Payload<Uint8Array> {
  return {
    contentType,
    schema: Type.String({ contentMediaType: contentType }),
    decode: (bytes) => ({ ok: true, value: bytes }),
    check: (value) =>
      value instanceof Uint8Array ? { ok: true, value } : { ok: false, reason: 'payload must be bytes' },
    encode: (value) => value,
  }
}
