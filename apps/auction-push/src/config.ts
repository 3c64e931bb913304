import type { TokenOptions } from '@carillon/auth'
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

const variables = Type.Object({
  ...commonVariables,
  ...authVariables,
  AUCTION_LISTEN_PORT: env.port(12_029),
  AUCTION_ADMIN_PORT: env.port(9_081),
  AUCTION_PUBLIC_URL: Type.Optional(env.url('wss?')),
  AUCTION_IDLE_TIMEOUT_MS: env.integer(1_000, 86_400_000, 30_000),
  AUCTION_MAX_CONNECTIONS: env.integer(0, 1_000_000, defaultLimits.connectionsMax),
  AUCTION_MAX_CONNECTIONS_PER_ADDRESS: env.integer(1, 1_000_000, defaultLimits.connectionsPerAddressMax),
  AUCTION_MAX_CONNECTIONS_PER_USER: env.integer(1, 1_000_000, defaultLimits.connectionsPerUserMax),
  AUCTION_MAX_SUBSCRIPTIONS: env.integer(1, 100_000, 1_000),
  AUCTION_MAX_FRAMES_PER_SECOND: env.integer(1, 100_000, defaultLimits.framesPerSecondMax),
  AUCTION_MAX_OUTBOX_BYTES: env.integer(1_024, 1_073_741_824, defaultLimits.outboxBytesMax),
})

export interface AuctionConfig extends CommonConfig {
  readonly port: number
  readonly publicUrl: string | undefined
  readonly auth: TokenOptions
  readonly idleTimeoutMs: number
  readonly subscriptionsMax: number
  readonly limits: Limits
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: Environment): AuctionConfig {
  const values = readEnvironment(variables, environment, authProblems)
  return {
    ...commonConfig(values, values.AUCTION_ADMIN_PORT),
    port: values.AUCTION_LISTEN_PORT,
    publicUrl: values.AUCTION_PUBLIC_URL,
    auth: authConfig(values),
    idleTimeoutMs: values.AUCTION_IDLE_TIMEOUT_MS,
    subscriptionsMax: values.AUCTION_MAX_SUBSCRIPTIONS,
    limits: {
      ...defaultLimits,
      connectionsMax: values.AUCTION_MAX_CONNECTIONS,
      connectionsPerAddressMax: values.AUCTION_MAX_CONNECTIONS_PER_ADDRESS,
      connectionsPerUserMax: values.AUCTION_MAX_CONNECTIONS_PER_USER,
      framesPerSecondMax: values.AUCTION_MAX_FRAMES_PER_SECOND,
      framesBurstMax: values.AUCTION_MAX_FRAMES_PER_SECOND * 2,
      outboxBytesMax: values.AUCTION_MAX_OUTBOX_BYTES,
    },
  }
}
