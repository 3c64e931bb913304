import {
  type CommonConfig,
  commonConfig,
  commonVariables,
  type Environment,
  env,
  readEnvironment,
} from '@carillon/service'
import { Type } from 'typebox'
import { catalog, type ServiceKey, serviceKeys } from './catalog.ts'

const fallbackVariable = (key: ServiceKey) => `${key.toUpperCase()}_FALLBACK_URL`

/** Everything that this service reads from its environment. */
export const variables = Type.Object({
  ...commonVariables,
  DISCOVERY_LISTEN_PORT: env.port(8_080, 'the port that clients reach'),
  DISCOVERY_ADMIN_PORT: env.port(9_080, 'probes and metrics'),
  DISCOVERY_MAX_CONNECTIONS: env.integer(
    1,
    1_000_000,
    10_000,
    'sockets of HTTP clients that are open at once',
  ),
  DISCOVERY_SIGN_KEYS: Type.Optional(
    Type.String({
      pattern: '^[^=,]+=[^,]+(,[^=,]+=[^,]+)*$',
      description: '`code=key,…`: requests must be signed with the key of their code',
    }),
  ),
  DISCOVERY_SIGN_WINDOW_S: env.integer(
    0,
    86_400,
    0,
    'how far a signed request’s `ts` may be from the time; 0: it is not looked at',
  ),
  VOICE_PING_INTERVAL_S: env.integer(
    1,
    3_600,
    15,
    'how often clients of voice-room-ws are told to send a ping',
  ),
  ...Object.fromEntries(
    serviceKeys.map((key) => [
      fallbackVariable(key),
      Type.Optional(env.clientUrl('wss?|https?', `handed out while no instance of ${catalog[key]} is live`)),
    ]),
  ),
})

export interface DiscoveryConfig extends CommonConfig {
  readonly port: number
  /** Sockets of HTTP clients that are open at once. */
  readonly connectionsMax: number
  readonly pingIntervalS: number
  /** Signing keys by client code; none: requests need no signature. */
  readonly signKeys: ReadonlyMap<string, string>
  /** How far a signed request's `ts` may be from now, in milliseconds; 0: it is not looked at. */
  readonly signWindowMs: number
  /** What to hand out while a service has no live instance. */
  readonly fallbacks: ReadonlyMap<ServiceKey, string>
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: Environment): DiscoveryConfig {
  const values = readEnvironment(variables, environment)
  return {
    ...commonConfig(values, values.DISCOVERY_ADMIN_PORT, 'DISCOVERY_ADMIN_PORT'),
    port: values.DISCOVERY_LISTEN_PORT,
    connectionsMax: values.DISCOVERY_MAX_CONNECTIONS,
    pingIntervalS: values.VOICE_PING_INTERVAL_S,
    signKeys: parseSignKeys(values.DISCOVERY_SIGN_KEYS),
    signWindowMs: values.DISCOVERY_SIGN_WINDOW_S * 1_000,
    fallbacks: new Map(
      serviceKeys.flatMap((key) => {
        const url = environment[fallbackVariable(key)]
        return url ? [[key, url] as const] : []
      }),
    ),
  }
}

function parseSignKeys(text: string | undefined): ReadonlyMap<string, string> {
  const pairs = text?.split(',') ?? []
  return new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))
}
