import { Type } from 'typebox'
import { parseTrustedProxies, type TrustedProxies } from './client-address.ts'
import { env } from './environment.ts'

/** Variables that every service reads. */
export const commonVariables = {
  NODE_ENV: Type.Optional(Type.String()),
  NATS_URL: env.text('nats://127.0.0.1:4222'),
  NATS_USER: Type.Optional(Type.String()),
  NATS_PASSWORD: Type.Optional(Type.String()),
  NATS_CREDS_FILE: Type.Optional(Type.String()),
  NATS_INBOX_PREFIX: Type.Optional(Type.String({ pattern: '^[\\w-]+(\\.[\\w-]+)*$' })),
  NATS_REPLICAS: env.integer(1, 5, 1),
  LOG_LEVEL: env.oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], 'info'),
  REGION: env.text('default'),
  LISTEN_HOST: Type.Optional(env.text()),
  ADMIN_HOST: Type.Optional(env.text()),
  DRAIN_SECONDS: env.integer(0, 3_600, 25),
  DRAIN_DELAY_SECONDS: env.integer(0, 600, 5),
  TRUST_PROXY: env.checked(
    (text) => parseTrustedProxies(text) !== undefined,
    'false, a number of hops, or networks separated by commas',
    'false',
  ),
}

/** What every service is configured with. Times are in the unit of their names. */
export interface CommonConfig {
  readonly nats: {
    readonly url: string
    readonly user?: string
    readonly password?: string
    readonly credsFile?: string
    /** Where answers come in; default: that of the service's user in deploy/nats. */
    readonly inboxPrefix?: string
    /** How many servers keep each stream and bucket. */
    readonly replicas: number
  }
  readonly logLevel: string
  readonly region: string
  /** The address that clients reach. */
  readonly host: string
  readonly adminHost: string
  readonly adminPort: number
  /** The variable that changes it, for the error when it is taken. */
  readonly adminPortVariable: string
  readonly drainSeconds: number
  readonly drainDelaySeconds: number
  readonly trustedProxies: TrustedProxies
}

interface CommonValues {
  readonly NODE_ENV?: string
  readonly NATS_URL: string
  readonly NATS_USER?: string
  readonly NATS_PASSWORD?: string
  readonly NATS_CREDS_FILE?: string
  readonly NATS_INBOX_PREFIX?: string
  readonly NATS_REPLICAS: number
  readonly LOG_LEVEL: string
  readonly REGION: string
  readonly LISTEN_HOST?: string
  readonly ADMIN_HOST?: string
  readonly DRAIN_SECONDS: number
  readonly DRAIN_DELAY_SECONDS: number
  readonly TRUST_PROXY: string
}

export function commonConfig(
  values: CommonValues,
  adminPort: number,
  adminPortVariable: string,
): CommonConfig {
  const host = listenHost(values)
  return {
    nats: {
      url: values.NATS_URL,
      ...(values.NATS_USER && { user: values.NATS_USER }),
      ...(values.NATS_PASSWORD && { password: values.NATS_PASSWORD }),
      ...(values.NATS_CREDS_FILE && { credsFile: values.NATS_CREDS_FILE }),
      ...(values.NATS_INBOX_PREFIX && { inboxPrefix: values.NATS_INBOX_PREFIX }),
      replicas: values.NATS_REPLICAS,
    },
    logLevel: values.LOG_LEVEL,
    region: values.REGION,
    host,
    adminHost: values.ADMIN_HOST ?? host,
    adminPort,
    adminPortVariable,
    drainSeconds: values.DRAIN_SECONDS,
    drainDelaySeconds: values.DRAIN_DELAY_SECONDS,
    trustedProxies: parseTrustedProxies(values.TRUST_PROXY) ?? { type: 'none' },
  }
}

/** All addresses in production; outside of it only this machine's own, unless an address is named. */
function listenHost({ NODE_ENV, LISTEN_HOST }: { NODE_ENV?: string; LISTEN_HOST?: string }): string {
  return LISTEN_HOST ?? (NODE_ENV === 'production' ? '0.0.0.0' : '127.0.0.1')
}
