/** Who connects, from where, by the query of the connection. */
export interface ConnectParameters {
  readonly token: string
  readonly userId: string
  readonly platform: Platform
  readonly deviceId: string
}

export const platforms = ['ios', 'android', 'web', 'pc', 'mac', 'linux', 'windows'] as const
export type Platform = (typeof platforms)[number]

/** All are required, as the document has them. */
export const parameterNames = [
  'token',
  'userId',
  'networkUsed',
  'platform',
  'deviceId',
  'deviceModel',
  'osVersion',
  'appVersion',
  'language',
] as const

export const PARAMETER_LENGTH_MAX = 256
const USER_ID = /^[a-zA-Z0-9_]{1,64}$/
/** Stands in headers and events: printable ASCII. */
const DEVICE_ID = /^[\x21-\x7e]{1,128}$/

/** The parameters, or what is wrong with them, fit for a close reason: it never repeats what the client sent. */
export function parseConnectParameters(query: unknown): ConnectParameters | string {
  const values = query as Readonly<Record<string, unknown>>
  for (const name of parameterNames) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    if (value === undefined || value === '') return `${name} is missing`
    if (typeof value !== 'string') return `${name} stands there twice`
    if (name !== 'token' && value.length > PARAMETER_LENGTH_MAX) return `${name} is too long`
  }
  const { token, userId, platform, deviceId } = values as Readonly<Record<string, string>>
  if (!USER_ID.test(userId as string)) return 'userId is not valid'
  if (!isPlatform(platform)) return 'platform is not known'
  if (!DEVICE_ID.test(deviceId as string)) return 'deviceId is not valid'
  return { token: token as string, userId: userId as string, platform, deviceId: deviceId as string }
}

function isPlatform(text: string | undefined): text is Platform {
  return (platforms as readonly (string | undefined)[]).includes(text)
}
