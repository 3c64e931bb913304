import { createHash, timingSafeEqual } from 'node:crypto'

/** Parameters that are not part of the signed text. */
const UNSIGNED = new Set(['h', '_url', 'file'])

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

/**
 * The common request signature: `md5(md5("k=v" joined by "&" in key order) + key)`, over every parameter but
 * `h`, `_url` and `file`. Keys are ordered by their code units.
 */
export function signRequest(parameters: Readonly<Record<string, string>>, key: string): string {
  const text = Object.keys(parameters)
    .filter((name) => !UNSIGNED.has(name))
    .sort()
    .map((name) => `${name}=${parameters[name]}`)
    .join('&')
  return md5(md5(text) + key)
}

/** Does `h` sign these parameters? Compared in constant time. */
export function verifyRequest(parameters: Readonly<Record<string, string>>, key: string): boolean {
  const wanted = Buffer.from(signRequest(parameters, key))
  const given = Buffer.from((parameters.h ?? '').toLowerCase())
  return wanted.length === given.length && timingSafeEqual(wanted, given)
}
