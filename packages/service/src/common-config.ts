import type { TracingConfig } from '@carillon/tracing'
import { Type } from 'typebox'
import { parseTrustedProxies, type TrustedProxies } from './client-address.ts'
import { env } from './environment.ts'
import { type TracingValues, tracingConfig, tracingVariables } from './tracing-config.ts'

/** Variables that every service reads. */
export const commonVariables = {
  ...tracingVariables,
  NODE_ENV: Type.Optional(
    Type.String({ description: '`production`: listen on every address, and refuse development secrets' }),
  ),
  NATS_URL: env.text('nats://127.0.0.1:4222', 'one or more servers, separated by commas'),
  NATS_USER: Type.Optional(
    Type.String({ description: 'the user, see [NATS permissions](#nats-permissions)' }),
  ),
  NATS_PASSWORD: Type.Optional(Type.String({ description: 'the user’s password' })),
  NATS_CREDS_FILE: Type.Optional(
    Type.String({ description: 'a NATS credentials file in place of user and password' }),
  ),
  NATS_INBOX_PREFIX: Type.Optional(
    Type.String({
      pattern: '^[\\w-]+(\\.[\\w-]+)*$',
      description:
        'where answers from NATS come in, as the user’s permissions allow; unset: `_INBOX_<service>`',
    }),
  ),
  NATS_REPLICAS: env.integer(
    1,
    5,
    1,
    'servers of a NATS cluster that keep each stream and bucket, 3 in production; see [NATS](#nats)',
  ),
  LOG_LEVEL: env.oneOf(
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal'],
    'info',
    'the least level that is logged; live setting `<service>.log_level`',
  ),
  REGION: env.text(
    'default',
    'announced to endpoint-discovery, which prefers instances of a client’s region',
  ),
  LISTEN_HOST: Type.Optional(
    env.text(undefined, 'the address that clients reach; unset: `0.0.0.0` in production, else `127.0.0.1`'),
  ),
  ADMIN_HOST: Type.Optional(env.text(undefined, 'the address of the admin port; unset: as `LISTEN_HOST`')),
  DRAIN_SECONDS: env.integer(
    0,
    3_600,
    25,
    'connections are closed evenly over this time, see [Draining](#draining)',
  ),
  DRAIN_DELAY_SECONDS: env.integer(
    0,
    600,
    5,
    'after SIGTERM connections are accepted for so long, until clients get other endpoints',
  ),
  TRUST_PROXY: env.checked(
    (text) => parseTrustedProxies(text) !== undefined,
    'false, a number of hops, or networks separated by commas',
    'false',
    'which proxies are trusted for the client’s address in `X-Forwarded-For`: a number of hops (`1`), or networks and addresses (`10.0.0.0/8,192.0.2.7`)',
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
  /** Undefined: no spans are made. */
  readonly tracing: TracingConfig | undefined
}

interface CommonValues extends TracingValues {
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
    tracing: tracingConfig(values),
  }
}

/** All addresses in production; outside of it only this machine's own, unless an address is named. */
function listenHost({ NODE_ENV, LISTEN_HOST }: { NODE_ENV?: string; LISTEN_HOST?: string }): string {
  return LISTEN_HOST ?? (NODE_ENV === 'production' ? '0.0.0.0' : '127.0.0.1')
}
