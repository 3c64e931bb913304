/*
 * The text that a frame's signature is made of: compact JSON with sorted keys, as PHP's json_encode prints it with
 * JSON_UNESCAPED_UNICODE. Values stand as they were sent: a number keeps its digits (1.0 is not 1).
 */

export type Scalar = string | number | boolean | null

export interface Field {
  readonly value: Scalar
  /** The value as it stands in the canonical text. */
  readonly text: string
}

/** A frame's fields by name. */
export type Fields = ReadonlyMap<string, Field>

/** Keys, values and what opens an object or a list: between them there are only separators and white space. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[[{]|[^\s,:{}[\]"]+/g

/** The fields of a JSON object whose values are texts, numbers, booleans or null; undefined for anything else. */
export function parseFields(frame: string): Fields | undefined {
  let value: unknown
  try {
    value = JSON.parse(frame)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  if (Object.values(value).some((each) => typeof each === 'object' && each !== null)) return undefined
  const fields = new Map<string, Field>()
  let name: string | undefined
  let opened = false
  for (const [token] of frame.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      // A value that a later one of the same name hides may be an object or a list all the same.
      if (opened) return undefined
      opened = true
      continue
    }
    const isText = token.startsWith('"')
    if (name === undefined) name = JSON.parse(token) as string
    else {
      const parsed = JSON.parse(token) as Scalar
      // The last of several fields of one name counts, as in every parser.
      fields.set(name, { value: parsed, text: isText ? printText(parsed as string) : token })
      name = undefined
    }
  }
  return fields
}

/**
 * The text to sign: every field but `sign`, in the byte order of the names. PHP escapes the two line separators of
 * Unicode unless told otherwise, other languages do not: `escapeSeparators` says which.
 */
export function canonicalText(fields: Fields, escapeSeparators = true): string {
  const printed = [...fields]
    .filter(([name]) => name !== 'sign')
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([name, { text }]) => `${printText(name)}:${text}`)
    .join(',')
  return `{${escapeSeparators ? printed.replace(/[\u2028\u2029]/g, (c) => (c === '\u2028' ? '\\u2028' : '\\u2029')) : printed}}`
}

function printText(text: string): string {
  return JSON.stringify(text).replaceAll('/', '\\/')
}
