import { DEVELOPMENT_SECRET, type TokenOptions } from '@carillon/auth'
import * as gateway from '@carillon/gateway'
import {
  commonVariables,
  type Environment,
  env,
  readEnvironment,
  type Secrets,
  secretProblems,
  watchedSecrets,
} from '@carillon/service'
import { Type } from 'typebox'
import type { DurableLimits } from './durable-events.ts'
import type { RoomAccess } from './room.ts'
import type { SessionLimits } from './session.ts'

/** Everything that this service reads from its environment. */
export const variables = Type.Object({
  ...commonVariables,
  ...gateway.authVariables,
  ...gateway.gatewayVariables('CAMPUS', { listenPort: 8_085, adminPort: 9_085, connectionAgeMaxS: 3_300 }),
  CAMPUS_ACK_TIMEOUT_MS: env.integer(100, 600_000, 10_000, 'time for a device’s answer'),
  CAMPUS_ROOM_ACCESS: env.oneOf<RoomAccess>(
    ['open', 'ticket'],
    'open',
    'who may join rooms: everybody, or whoever has a ticket; must be set in production',
  ),
  CAMPUS_CORS_ORIGINS: Type.Optional(
    Type.String({
      pattern: '^https?://[^,\\s]+(,\\s*https?://[^,\\s]+)*$',
      description: 'origins that browsers may connect from, `https://one,https://two`; unset: any',
    }),
  ),
  CAMPUS_DEVICE_KEY_SECRET: env.text(
    DEVELOPMENT_SECRET,
    'device keys are stored as HMACs under it, the same on every instance; required in production; with another one every device must be registered anew',
  ),
  CAMPUS_DEVICE_KEY_SECRET_FILE: Type.Optional(
    Type.String({ description: 'a file of such secrets, see [Keys](#keys)' }),
  ),
  CAMPUS_MAX_REQUESTS_PER_SECOND: env.integer(1, 1_000_000, 1_000, 'HTTP requests of one address a second'),
  CAMPUS_MAX_ROOMS: env.integer(1, 1_000_000, 100_000, 'rooms that connections of an instance are in'),
  CAMPUS_MAX_ROOMS_PER_CONNECTION: env.integer(1, 10_000, 20, 'rooms of one connection'),
})

export interface CampusConfig extends gateway.GatewayConfig {
  readonly auth: TokenOptions
  /** Origins that browsers may connect from; undefined for any. */
  readonly corsOrigins: readonly string[] | undefined
  /** Device keys are stored as HMACs under the first of them, and found under each. */
  readonly deviceKeySecrets: Secrets
  readonly requestsPerSecondMax: number
  /** Rooms that connections of this instance are in. */
  readonly roomsMax: number
  /** Between two signs of life, which the library sends and expects; in milliseconds. */
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
  /** Live pushes of one device that wait for their answers. */
  readonly pushesInFlightMax: number
  readonly session: SessionLimits
  readonly durable: DurableLimits
}

/** What may not be left to a default where others can reach the service. */
function ownProblems(environment: Environment): readonly string[] {
  const { NODE_ENV, CAMPUS_ROOM_ACCESS: access } = environment
  return [
    ...(NODE_ENV === 'production' && !access
      ? ['CAMPUS_ROOM_ACCESS is required in production: open or ticket']
      : []),
    ...secretProblems(environment, {
      variable: 'CAMPUS_DEVICE_KEY_SECRET',
      developmentSecret: DEVELOPMENT_SECRET,
    }),
  ]
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: Environment): CampusConfig {
  const values = readEnvironment(variables, environment, gateway.authProblems, ownProblems)
  return {
    ...gateway.gatewayConfig('CAMPUS', values),
    auth: gateway.authConfig(values),
    corsOrigins: values.CAMPUS_CORS_ORIGINS?.split(',').map((origin) => origin.trim().replace(/\/$/, '')),
    deviceKeySecrets: values.CAMPUS_DEVICE_KEY_SECRET_FILE
      ? watchedSecrets({
          file: values.CAMPUS_DEVICE_KEY_SECRET_FILE,
          variable: 'CAMPUS_DEVICE_KEY_SECRET_FILE',
          developmentSecret: DEVELOPMENT_SECRET,
        })
      : () => [values.CAMPUS_DEVICE_KEY_SECRET],
    requestsPerSecondMax: values.CAMPUS_MAX_REQUESTS_PER_SECOND,
    roomsMax: values.CAMPUS_MAX_ROOMS,
    pingIntervalMs: 25_000,
    pingTimeoutMs: 20_000,
    pushesInFlightMax: 100,
    session: {
      roomsMax: values.CAMPUS_MAX_ROOMS_PER_CONNECTION,
      failedAuthenticationsMax: 3,
      roomAccess: values.CAMPUS_ROOM_ACCESS,
    },
    durable: {
      ackTimeoutMs: values.CAMPUS_ACK_TIMEOUT_MS,
      backOffMsMax: 600_000,
      inFlightBytesMax: 262_144,
    },
  }
}
