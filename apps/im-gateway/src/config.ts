import type { TokenOptions } from '@carillon/auth'
import * as gateway from '@carillon/gateway'
import * as service from '@carillon/service'
import { Type } from 'typebox'
import { type ImLimits, imLimits } from './limits.ts'

/** Everything that this service reads from its environment. */
export const variables = Type.Object({
  ...service.commonVariables,
  ...gateway.authVariables,
  ...gateway.gatewayVariables('IM', { listenPort: 8_084, adminPort: 9_084, connectionAgeMaxS: 3_300 }),
  IM_NOTICE_REDELIVERY_MS: service.env.integer(
    100,
    86_400_000,
    10_000,
    'between two deliveries of a notice that a device has not acknowledged',
  ),
  IM_PING_INTERVAL_MS: service.env.integer(
    1_000,
    3_600_000,
    20_000,
    'silence from a client after which it is sent a ping',
  ),
  IM_IDLE_TIMEOUT_MS: service.env.integer(
    2_000,
    86_400_000,
    60_000,
    'silence from a client after which its connection is closed',
  ),
  IM_CUSTOM_TIMEOUT_MS: service.env.integer(
    100,
    60_000,
    10_000,
    'how long the service behind a CustomRequest may take',
  ),
  IM_MAX_REQUESTS: service.env.integer(
    1,
    1_000_000,
    imLimits.requests.total.count,
    'requests under way in an instance',
  ),
  IM_MAX_CONVERSATIONS: service.env.integer(
    1,
    100_000,
    imLimits.conversationsMax,
    'conversations of a user that are pushed',
  ),
  IM_MAX_FOLLOWED_CONVERSATIONS: service.env.integer(
    1,
    10_000_000,
    imLimits.followedConversationsMax,
    'conversations followed by an instance',
  ),
})

/** Batches of messages are larger than other protocols' commands; NATS takes 1 MB. */
const FRAME_BYTES_MAX = 262_144
const FRAME_BYTES_HARD_MAX = 1_048_576

export interface ImConfig extends gateway.GatewayConfig {
  readonly auth: TokenOptions
  /** Between two deliveries of a notice that a device has not acknowledged. */
  readonly noticeRedeliveryMs: number
  /** Silence from a client after which it is sent a ping. */
  readonly pingIntervalMs: number
  /** Silence from a client after which its connection counts as dead. */
  readonly idleTimeoutMs: number
  /** How long a CustomRequest may take. */
  readonly customTimeoutMs: number
  readonly im: ImLimits
}

/** A ping that comes after the end of the connection asks nobody. */
const pingsInTime: (environment: service.Environment) => readonly string[] = (environment) => {
  const ping = Number(environment.IM_PING_INTERVAL_MS || 20_000)
  const idle = Number(environment.IM_IDLE_TIMEOUT_MS || 60_000)
  return ping >= idle ? ['IM_PING_INTERVAL_MS must be less than IM_IDLE_TIMEOUT_MS'] : []
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: service.Environment): ImConfig {
  const values = service.readEnvironment(variables, environment, gateway.authProblems, pingsInTime)
  const config = gateway.gatewayConfig('IM', values)
  return {
    ...config,
    limits: {
      ...config.limits,
      frameBytesMax: FRAME_BYTES_MAX,
      frameBytesHardMax: FRAME_BYTES_HARD_MAX,
    },
    auth: gateway.authConfig(values),
    noticeRedeliveryMs: values.IM_NOTICE_REDELIVERY_MS,
    pingIntervalMs: values.IM_PING_INTERVAL_MS,
    idleTimeoutMs: values.IM_IDLE_TIMEOUT_MS,
    customTimeoutMs: values.IM_CUSTOM_TIMEOUT_MS,
    im: {
      ...imLimits,
      conversationsMax: values.IM_MAX_CONVERSATIONS,
      followedConversationsMax: values.IM_MAX_FOLLOWED_CONVERSATIONS,
      requests: {
        ...imLimits.requests,
        total: { ...imLimits.requests.total, count: values.IM_MAX_REQUESTS },
      },
    },
  }
}
