import { join } from 'node:path'
import {
  type CommonConfig,
  commonConfig,
  commonVariables,
  type Environment,
  env,
  readEnvironment,
} from '@carillon/service'
import { Type } from 'typebox'

/** Everything that this service reads from its environment. */
export const variables = Type.Object({
  ...commonVariables,
  IM_MESSAGES_ADMIN_PORT: env.port(9_086, 'probes and metrics; there is no other port'),
  IM_DATABASE_URL: Type.Optional(
    env.url(
      'postgres|postgresql',
      undefined,
      'the PostgreSQL database; unset: an embedded one in `CARILLON_HOME`',
    ),
  ),
  IM_DATABASE_CONNECTIONS: env.integer(
    2,
    200,
    10,
    'connections of one instance to the database, besides 4 for outboxes',
  ),
  IM_MESSAGE_RETENTION_DAYS: env.integer(
    0,
    36_500,
    0,
    'messages are deleted after so many days, at least 11; 0 keeps them',
  ),
  IM_NOTICE_RETENTION_DAYS: env.integer(
    0,
    36_500,
    30,
    'notices that every device has acknowledged are deleted after so many days; 0 keeps them',
  ),
  IM_DEVICE_RETENTION_DAYS: env.integer(
    0,
    36_500,
    180,
    'devices are forgotten when not seen for so many days, except a user’s last one; 0 keeps the last 100 of each user',
  ),
  CARILLON_HOME: env.text('.carillon', 'the embedded database is in the folder `im-messages` of this one'),
})

/** A message that is sent again after this much is not known any more; delayed ones wait up to ten days. */
const MESSAGE_RETENTION_DAYS_MIN = 11

export interface MessagesConfig extends CommonConfig {
  readonly database:
    | { readonly kind: 'postgres'; readonly url: string; readonly connectionsMax: number }
    | { readonly kind: 'embedded'; readonly folder: string }
  /** Days; 0 keeps for ever. */
  readonly messageRetentionDays: number
  readonly noticeRetentionDays: number
  readonly deviceRetentionDays: number
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: Environment): MessagesConfig {
  const values = readEnvironment(variables, environment, retentionProblems)
  return {
    ...commonConfig(values, values.IM_MESSAGES_ADMIN_PORT, 'IM_MESSAGES_ADMIN_PORT'),
    database: values.IM_DATABASE_URL
      ? {
          kind: 'postgres',
          url: values.IM_DATABASE_URL,
          connectionsMax: values.IM_DATABASE_CONNECTIONS,
        }
      : { kind: 'embedded', folder: join(values.CARILLON_HOME, 'im-messages') },
    messageRetentionDays: values.IM_MESSAGE_RETENTION_DAYS,
    noticeRetentionDays: values.IM_NOTICE_RETENTION_DAYS,
    deviceRetentionDays: values.IM_DEVICE_RETENTION_DAYS,
  }
}

function retentionProblems({ IM_MESSAGE_RETENTION_DAYS: days }: Environment): readonly string[] {
  if (!days || !/^\d+$/.test(days)) return []
  return Number(days) > 0 && Number(days) < MESSAGE_RETENTION_DAYS_MIN
    ? [`IM_MESSAGE_RETENTION_DAYS must be 0, or at least ${MESSAGE_RETENTION_DAYS_MIN}`]
    : []
}
