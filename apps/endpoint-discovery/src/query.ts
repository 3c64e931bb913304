import { verifyRequest } from '@carillon/auth'

/** A request's parameters, each once; or undefined where one was given twice. */
export function readParameters(query: unknown): Readonly<Record<string, string>> | undefined {
  const parameters = query as Readonly<Record<string, string | string[]>>
  const once = Object.values(parameters).every((value) => typeof value === 'string')
  return once ? (parameters as Readonly<Record<string, string>>) : undefined
}

/** Why a signature is refused, or undefined where it is good or none is asked for. */
export function refuseSignature(
  parameters: Readonly<Record<string, string>>,
  keys: ReadonlyMap<string, string>,
): string | undefined {
  if (keys.size === 0) return undefined
  const { code, h } = parameters
  if (!code) return 'code is required'
  if (!h) return 'h is required'
  const key = keys.get(code)
  if (key === undefined || !verifyRequest(parameters, key)) return 'the signature is not valid'
  return undefined
}
