import { rfc3339Times, type TokenOptions } from '@carillon/auth'
import * as gateway from '@carillon/gateway'
import * as service from '@carillon/service'
import { Type } from 'typebox'
import type { SessionLimits } from './session.ts'

/** Everything that this service reads from its environment. */
export const variables = Type.Object({
  ...service.commonVariables,
  ...gateway.authVariables,
  ...gateway.gatewayVariables('QUOTE', { listenPort: 8_083, adminPort: 9_083, framesPerSecondMax: 200 }),
  QUOTE_PATH_PREFIX: Type.Optional(
    Type.String({
      pattern: '^(/[A-Za-z0-9._~-]+)+$',
      description: 'the path is served under this prefix as well, `/dev-f` for instance',
    }),
  ),
  QUOTE_SUBSCRIPTION_TTL_S: service.env.integer(
    1,
    604_800,
    3_600,
    'a market is followed for so long after its last request',
  ),
  QUOTE_ALIVE_INTERVAL_MS: service.env.integer(100, 3_600_000, 15_000, 'between two signs of life'),
  QUOTE_MAX_SUBSCRIPTIONS: service.env.integer(1, 100_000, 1_000, 'subscriptions of one connection'),
  QUOTE_MAX_SUBSCRIPTIONS_PER_USER: service.env.integer(
    1,
    1_000_000,
    5_000,
    'subscriptions of all connections of one user',
  ),
  QUOTE_MAX_FOLLOWED_SUBJECTS: service.env.integer(
    1,
    10_000_000,
    100_000,
    'different subjects followed by an instance',
  ),
})

/** A page full of slips may be registered at once. */
const FRAMES_BURST_MAX = 10_000

export interface QuoteConfig extends gateway.GatewayConfig {
  readonly auth: TokenOptions
  /** Stands before the path, `/dev-f` for instance, or is empty. */
  readonly pathPrefix: string
  readonly aliveIntervalMs: number
  /** Markets followed by all connections of one user, each counted for each connection. */
  readonly subscriptionsPerUserMax: number
  /** Different markets followed by all connections of the instance. */
  readonly followedSubjectsMax: number
  readonly session: Omit<SessionLimits, 'refusal'>
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: service.Environment): QuoteConfig {
  const values = service.readEnvironment(variables, environment, gateway.authProblems)
  return {
    ...gateway.gatewayConfig('QUOTE', values, { framesBurstMax: FRAMES_BURST_MAX }),
    auth: { ...gateway.authConfig(values), times: rfc3339Times },
    pathPrefix: values.QUOTE_PATH_PREFIX ?? '',
    aliveIntervalMs: values.QUOTE_ALIVE_INTERVAL_MS,
    subscriptionsPerUserMax: values.QUOTE_MAX_SUBSCRIPTIONS_PER_USER,
    followedSubjectsMax: values.QUOTE_MAX_FOLLOWED_SUBJECTS,
    session: {
      subscriptionsMax: values.QUOTE_MAX_SUBSCRIPTIONS,
      subscriptionTtlMs: values.QUOTE_SUBSCRIPTION_TTL_S * 1_000,
    },
  }
}
