import { verifyRequest } from '@carillon/auth'

/** A request's parameters, each once; or undefined where one was given twice. */
export function readParameters(query: unknown): Readonly<Record<string, string>> | undefined {
  const parameters = query as Readonly<Record<string, string | string[]>>
  const once = Object.values(parameters).every((value) => typeof value === 'string')
  return once ? (parameters as Readonly<Record<string, string>>) : undefined
}

export interface SignatureRules {
  /** By client code; none: requests need no signature. */
  readonly signKeys: ReadonlyMap<string, string>
  /** How far `ts` may be from now, in milliseconds; 0: it is not looked at. */
  readonly signWindowMs: number
}

/** Why a signature is refused, or undefined where it is good or none is asked for. `nowMs` is wall time. */
export function refuseSignature(
  parameters: Readonly<Record<string, string>>,
  { signKeys, signWindowMs }: SignatureRules,
  nowMs: number,
): string | undefined {
  if (signKeys.size === 0) return undefined
  const { code, h, ts } = parameters
  if (!code) return 'code is required'
  if (!h) return 'h is required'
  const key = signKeys.get(code)
  if (key === undefined || !verifyRequest(parameters, key)) return 'the signature is not valid'
  if (signWindowMs === 0) return undefined
  const signedAtMs = readTime(ts)
  if (signedAtMs === undefined) return 'ts is required, in seconds or milliseconds'
  return Math.abs(nowMs - signedAtMs) <= signWindowMs ? undefined : 'ts is too far from the time'
}

/** Ten digits are seconds since the epoch, thirteen are milliseconds. */
function readTime(text: string | undefined): number | undefined {
  if (text === undefined || !/^(\d{10}|\d{13})$/.test(text)) return undefined
  return text.length === 10 ? Number(text) * 1_000 : Number(text)
}
