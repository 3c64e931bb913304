import { createHash, timingSafeEqual } from 'node:crypto'

/** Parameters that are not part of the signed text. */
const UNSIGNED = new Set(['h', '_url', 'file'])

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

/** `k=v` joined by `&`, in the order of the names' code units. */
function signedText(parameters: Readonly<Record<string, string>>): string {
  return signedNames(parameters)
    .map((name) => `${name}=${parameters[name]}`)
    .join('&')
}

function signedNames(parameters: Readonly<Record<string, string>>): string[] {
  return Object.keys(parameters)
    .filter((name) => !UNSIGNED.has(name))
    .sort()
}

/**
 * The common request signature: `md5(md5("k=v" joined by "&" in key order) + key)`, over every parameter but
 * `h`, `_url` and `file`. Keys are ordered by their code units.
 */
export function signRequest(parameters: Readonly<Record<string, string>>, key: string): string {
  return md5(md5(signedText(parameters)) + key)
}

/**
 * Does `h` sign these parameters? Compared in constant time. A text that could be that of other parameters as well
 * (`a` with the value `1&b=2`) signs nothing.
 */
export function verifyRequest(parameters: Readonly<Record<string, string>>, key: string): boolean {
  const wanted = Buffer.from(signRequest(parameters, key))
  const given = Buffer.from((parameters.h ?? '').toLowerCase())
  return wanted.length === given.length && timingSafeEqual(wanted, given) && isUnambiguous(parameters)
}

/** Reads the signed text back: what comes out must be what went in. A piece without `=` belongs to the value before. */
function isUnambiguous(parameters: Readonly<Record<string, string>>): boolean {
  const read: [string, string][] = []
  for (const piece of signedText(parameters).split('&')) {
    const at = piece.indexOf('=')
    const last = read.at(-1)
    if (at >= 0) read.push([piece.slice(0, at), piece.slice(at + 1)])
    else if (last) last[1] += `&${piece}`
  }
  const names = signedNames(parameters)
  return (
    read.length === names.length &&
    read.every(([name, value], i) => name === names[i] && value === parameters[name])
  )
}
