import { rfc3339Times, type TokenOptions } from '@carillon/auth'
import {
  authConfig,
  authProblems,
  authVariables,
  type CommonConfig,
  commonConfig,
  commonVariables,
  defaultLimits,
  type Environment,
  env,
  type Limits,
  readEnvironment,
} from '@carillon/service'
import { Type } from 'typebox'
import type { SessionLimits } from './session.ts'

const variables = Type.Object({
  ...commonVariables,
  ...authVariables,
  QUOTE_LISTEN_PORT: env.port(8_083),
  QUOTE_ADMIN_PORT: env.port(9_083),
  QUOTE_PUBLIC_URL: Type.Optional(env.url('wss?')),
  QUOTE_PATH_PREFIX: Type.Optional(Type.String({ pattern: '^(/[A-Za-z0-9._~-]+)+$' })),
  QUOTE_SUBSCRIPTION_TTL_S: env.integer(1, 604_800, 3_600),
  QUOTE_ALIVE_INTERVAL_MS: env.integer(100, 3_600_000, 15_000),
  QUOTE_MAX_CONNECTIONS: env.integer(0, 1_000_000, defaultLimits.connectionsMax),
  QUOTE_MAX_CONNECTIONS_PER_ADDRESS: env.integer(1, 1_000_000, defaultLimits.connectionsPerAddressMax),
  QUOTE_MAX_CONNECTIONS_PER_USER: env.integer(1, 1_000_000, defaultLimits.connectionsPerUserMax),
  QUOTE_MAX_SUBSCRIPTIONS: env.integer(1, 100_000, 1_000),
  QUOTE_MAX_FRAMES_PER_SECOND: env.integer(1, 100_000, 200),
  QUOTE_MAX_OUTBOX_BYTES: env.integer(1_024, 1_073_741_824, defaultLimits.outboxBytesMax),
})

/** A page of slips may be registered at once. */
const FRAMES_BURST_MAX = 10_000

export interface QuoteConfig extends CommonConfig {
  readonly port: number
  readonly publicUrl: string | undefined
  /** Stands before the path, `/dev-f` for instance, or is empty. */
  readonly pathPrefix: string
  readonly auth: TokenOptions
  readonly aliveIntervalMs: number
  readonly session: SessionLimits
  readonly limits: Limits
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: Environment): QuoteConfig {
  const values = readEnvironment(variables, environment, authProblems)
  return {
    ...commonConfig(values, values.QUOTE_ADMIN_PORT),
    port: values.QUOTE_LISTEN_PORT,
    publicUrl: values.QUOTE_PUBLIC_URL,
    pathPrefix: values.QUOTE_PATH_PREFIX ?? '',
    auth: { ...authConfig(values), times: rfc3339Times },
    aliveIntervalMs: values.QUOTE_ALIVE_INTERVAL_MS,
    session: {
      subscriptionsMax: values.QUOTE_MAX_SUBSCRIPTIONS,
      subscriptionTtlMs: values.QUOTE_SUBSCRIPTION_TTL_S * 1_000,
    },
    limits: {
      ...defaultLimits,
      connectionsMax: values.QUOTE_MAX_CONNECTIONS,
      connectionsPerAddressMax: values.QUOTE_MAX_CONNECTIONS_PER_ADDRESS,
      connectionsPerUserMax: values.QUOTE_MAX_CONNECTIONS_PER_USER,
      framesPerSecondMax: values.QUOTE_MAX_FRAMES_PER_SECOND,
      framesBurstMax: FRAMES_BURST_MAX,
      outboxBytesMax: values.QUOTE_MAX_OUTBOX_BYTES,
    },
  }
}
