const SECRET = /key|token|secret|password|signature|^sid$|ticket/i
const PRINTED_LENGTH_MAX = 4_096

/** A payload for a record: fields that may hold credentials are blotted out, and what is long is left out. */
export function withoutSecrets(payload: unknown): unknown {
  const text = JSON.stringify(payload, (name, value) => (SECRET.test(name) ? '[removed]' : value))
  return text.length <= PRINTED_LENGTH_MAX ? JSON.parse(text) : '[too long]'
}
