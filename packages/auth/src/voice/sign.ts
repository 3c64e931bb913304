import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { canonicalText, type Fields } from './canonical.ts'

export type SignMethod = 'md5' | 'hmac-sha256'

export interface SignOptions {
  readonly method: SignMethod
  /** The key of `hmac-sha256`; `md5` has none. */
  readonly secret: string
}

/** The signature of a canonical text, in lower-case hexadecimal digits. */
export function signText(text: string, { method, secret }: SignOptions): string {
  const hash = method === 'md5' ? createHash('md5') : createHmac('sha256', secret)
  return hash.update(text).digest('hex')
}

/** Does the frame's `sign` sign its other fields? Compared in constant time. */
export function isSigned(fields: Fields, options: SignOptions): boolean {
  const given = fields.get('sign')?.value
  if (typeof given !== 'string') return false
  const escaped = canonicalText(fields)
  if (equal(given, signText(escaped, options))) return true
  const plain = canonicalText(fields, false)
  return plain !== escaped && equal(given, signText(plain, options))
}

function equal(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given.toLowerCase()), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** A frame with its `sign`, for clients: the command-line tool, tests and measurements. */
export function signFrame(
  fields: Readonly<Record<string, string | number | boolean | null>>,
  options: SignOptions,
): string {
  const map = new Map(
    Object.entries(fields).map(([name, value]) => {
      const text = JSON.stringify(value)
      return [name, { value, text: typeof value === 'string' ? text.replaceAll('/', '\\/') : text }]
    }),
  )
  return JSON.stringify({ ...fields, sign: signText(canonicalText(map), options) })
}
