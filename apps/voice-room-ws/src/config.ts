import { DEVELOPMENT_SECRET, type SignMethod, type SignOptions } from '@carillon/auth'
import * as gateway from '@carillon/gateway'
import * as service from '@carillon/service'
import { Type } from 'typebox'
import type { CapacityLimits } from './capacity.ts'

const { env } = service

/** Everything that this service reads from its environment. */
export const variables = Type.Object({
  ...service.commonVariables,
  ...service.developmentSecretVariables,
  ...gateway.gatewayVariables('VOICE', {
    listenPort: 9_999,
    adminPort: 9_082,
    framesPerSecondMax: 20,
    connectionAgeMaxS: 3_300,
  }),
  VOICE_SID_SECRET: Type.Optional(
    Type.String({ description: 'the secret that sids are signed with; required in production' }),
  ),
  VOICE_SID_SECRET_FILE: Type.Optional(
    Type.String({ description: 'a file of such secrets, see [Keys](#keys)' }),
  ),
  VOICE_SID_VERIFIER: env.oneOf(
    ['hmac', 'nats'],
    'hmac',
    '`nats`: sids are verified by a request over NATS, see [PROTOCOL.md](../apps/voice-room-ws/PROTOCOL.md)',
  ),
  VOICE_SIGN: Type.Unsafe<SignMethod>(
    env.oneOf(['md5', 'hmac-sha256'], 'md5', 'how clients sign their frames'),
  ),
  VOICE_SIGN_SECRET: Type.Optional(Type.String({ description: 'the secret of `hmac-sha256`' })),
  VOICE_TIMESTAMP_SKEW_S: env.integer(
    0,
    86_400,
    0,
    'how far a frame’s timestamp may be from the time; 0 for any distance',
  ),
  VOICE_PING_INTERVAL_S: env.integer(
    1,
    3_600,
    15,
    'how often clients of voice-room-ws are told to send a ping',
  ),
  VOICE_HEARTBEAT_TIMEOUT_MS: env.integer(
    100,
    3_600_000,
    20_000,
    'silence after which a connection is closed',
  ),
  VOICE_EXIT_GRACE_MS: env.integer(0, 600_000, 0, 'time to come back before an eviction'),
  VOICE_HANDOVER_GRACE_MS: env.integer(0, 600_000, 20_000, 'time to come back after a drain'),
  VOICE_RELAY_TIMEOUT_MS: env.integer(50, 600_000, 5_000, 'time for a member to report'),
  VOICE_RELAY_MAX_ATTEMPTS: env.integer(
    1,
    10_000,
    20,
    'members that one notice is relayed to, one after the other',
  ),
  VOICE_MAX_OPEN_RELAYS: env.integer(
    1,
    100_000,
    5_000,
    'events of one stream that an instance works on at once',
  ),
  VOICE_MAX_OPEN_RELAYS_PER_ROOM: env.integer(
    1,
    100_000,
    200,
    'relays of one room at once; those beyond go to one member only',
  ),
  VOICE_MAX_ROOM_MEMBERS: env.integer(1, 1_000_000, 10_000, 'members of a room'),
  VOICE_MAX_USERS: env.integer(
    1,
    10_000_000,
    250_000,
    'users of all instances who are connected or in a room; every instance keeps all of them in memory',
  ),
  VOICE_LEASE_MS: env.integer(
    500,
    600_000,
    10_000,
    'an instance that has not renewed its lease for so long is taken for dead',
  ),
})

function problems(environment: service.Environment): readonly string[] {
  const { VOICE_SID_VERIFIER, VOICE_SIGN, VOICE_SIGN_SECRET } = environment
  return [
    ...(VOICE_SIGN === 'hmac-sha256' && !VOICE_SIGN_SECRET
      ? ['VOICE_SIGN_SECRET is required with VOICE_SIGN=hmac-sha256']
      : []),
    ...(VOICE_SIGN_SECRET && VOICE_SIGN_SECRET.length < 16
      ? ['VOICE_SIGN_SECRET is shorter than 16 characters']
      : []),
    ...(VOICE_SID_VERIFIER === 'nats'
      ? []
      : service.secretProblems(environment, {
          variable: 'VOICE_SID_SECRET',
          developmentSecret: DEVELOPMENT_SECRET,
        })),
  ]
}

/** Times are in the unit of their names. */
export interface VoiceConfig extends gateway.GatewayConfig {
  /** A sid by any of them is good. Undefined: sids are verified over NATS. */
  readonly sidSecrets: service.Secrets | undefined
  readonly sign: SignOptions
  readonly skewMs: number
  readonly pingIntervalS: number
  readonly heartbeatTimeoutMs: number
  readonly exitGraceMs: number
  /** How long the users of a draining instance may take to come back elsewhere. */
  readonly handoverGraceMs: number
  readonly leaseMs: number
  readonly capacity: CapacityLimits
  readonly relays: {
    readonly timeoutMs: number
    readonly attemptsMax: number
    readonly openMax: number
    readonly openPerRoomMax: number
  }
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: service.Environment): VoiceConfig {
  const values = service.readEnvironment(variables, environment, problems)
  return {
    ...gateway.gatewayConfig('VOICE', values),
    sidSecrets: values.VOICE_SID_VERIFIER === 'nats' ? undefined : sidSecrets(values),
    sign: { method: values.VOICE_SIGN, secret: values.VOICE_SIGN_SECRET ?? '' },
    skewMs: values.VOICE_TIMESTAMP_SKEW_S * 1_000,
    pingIntervalS: values.VOICE_PING_INTERVAL_S,
    heartbeatTimeoutMs: values.VOICE_HEARTBEAT_TIMEOUT_MS,
    exitGraceMs: values.VOICE_EXIT_GRACE_MS,
    handoverGraceMs: values.VOICE_HANDOVER_GRACE_MS,
    leaseMs: values.VOICE_LEASE_MS,
    capacity: { roomMembersMax: values.VOICE_MAX_ROOM_MEMBERS, usersMax: values.VOICE_MAX_USERS },
    relays: {
      timeoutMs: values.VOICE_RELAY_TIMEOUT_MS,
      attemptsMax: values.VOICE_RELAY_MAX_ATTEMPTS,
      openMax: values.VOICE_MAX_OPEN_RELAYS,
      openPerRoomMax: values.VOICE_MAX_OPEN_RELAYS_PER_ROOM,
    },
  }
}

function sidSecrets(values: {
  readonly VOICE_SID_SECRET?: string
  readonly VOICE_SID_SECRET_FILE?: string
}): service.Secrets {
  const file = values.VOICE_SID_SECRET_FILE
  if (file) {
    return service.watchedSecrets({
      file,
      variable: 'VOICE_SID_SECRET_FILE',
      developmentSecret: DEVELOPMENT_SECRET,
    })
  }
  const secret = values.VOICE_SID_SECRET || DEVELOPMENT_SECRET
  return () => [secret]
}
