import type { TokenOptions } from '@carillon/auth'
import * as gateway from '@carillon/gateway'
import * as service from '@carillon/service'
import { Type } from 'typebox'

/** Everything that this service reads from its environment. */
export const variables = Type.Object({
  ...service.commonVariables,
  ...gateway.authVariables,
  ...gateway.gatewayVariables('AUCTION', { listenPort: 12_029, adminPort: 9_081 }),
  AUCTION_IDLE_TIMEOUT_MS: service.env.integer(
    1_000,
    86_400_000,
    30_000,
    'silence from a client after which its connection is closed; live setting `auction-push.idle_timeout_ms`',
  ),
  AUCTION_MAX_SUBSCRIPTIONS: service.env.integer(1, 100_000, 1_000, 'subscriptions of one connection'),
  AUCTION_MAX_SUBSCRIPTIONS_PER_USER: service.env.integer(
    1,
    1_000_000,
    5_000,
    'subscriptions of all connections of one user',
  ),
  AUCTION_MAX_FOLLOWED_SUBJECTS: service.env.integer(
    1,
    10_000_000,
    100_000,
    'different subjects followed by an instance',
  ),
})

export interface AuctionConfig extends gateway.GatewayConfig {
  readonly auth: TokenOptions
  readonly idleTimeoutMs: number
  /** Of one connection. */
  readonly subscriptionsMax: number
  /** Of all connections of one user. */
  readonly subscriptionsPerUserMax: number
  /** Different subjects followed by all connections of the instance. */
  readonly followedSubjectsMax: number
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: service.Environment): AuctionConfig {
  const values = service.readEnvironment(variables, environment, gateway.authProblems)
  return {
    ...gateway.gatewayConfig('AUCTION', values),
    auth: gateway.authConfig(values),
    idleTimeoutMs: values.AUCTION_IDLE_TIMEOUT_MS,
    subscriptionsMax: values.AUCTION_MAX_SUBSCRIPTIONS,
    subscriptionsPerUserMax: values.AUCTION_MAX_SUBSCRIPTIONS_PER_USER,
    followedSubjectsMax: values.AUCTION_MAX_FOLLOWED_SUBJECTS,
  }
}
