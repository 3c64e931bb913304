import type { TokenOptions } from '@carillon/auth'
import * as gateway from '@carillon/gateway'
import * as service from '@carillon/service'
import { Type } from 'typebox'

const variables = Type.Object({
  ...service.commonVariables,
  ...gateway.authVariables,
  ...gateway.gatewayVariables('AUCTION', { listenPort: 12_029, adminPort: 9_081 }),
  AUCTION_IDLE_TIMEOUT_MS: service.env.integer(1_000, 86_400_000, 30_000),
  AUCTION_MAX_SUBSCRIPTIONS: service.env.integer(1, 100_000, 1_000),
})

export interface AuctionConfig extends gateway.GatewayConfig {
  readonly auth: TokenOptions
  readonly idleTimeoutMs: number
  readonly subscriptionsMax: number
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: service.Environment): AuctionConfig {
  const values = service.readEnvironment(variables, environment, gateway.authProblems)
  return {
    ...gateway.gatewayConfig('AUCTION', values),
    auth: gateway.authConfig(values),
    idleTimeoutMs: values.AUCTION_IDLE_TIMEOUT_MS,
    subscriptionsMax: values.AUCTION_MAX_SUBSCRIPTIONS,
  }
}
