import { DEVELOPMENT_SECRET, type TokenOptions } from '@carillon/auth'
import { Type } from 'typebox'
import { type Environment, env } from './environment.ts'

/** Variables that every service reads. */
export const commonVariables = {
  NODE_ENV: Type.Optional(Type.String()),
  NATS_URL: env.text('nats://127.0.0.1:4222'),
  NATS_USER: Type.Optional(Type.String()),
  NATS_PASSWORD: Type.Optional(Type.String()),
  NATS_CREDS_FILE: Type.Optional(Type.String()),
  LOG_LEVEL: env.oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], 'info'),
  REGION: env.text('default'),
  LISTEN_HOST: env.text('0.0.0.0'),
  DRAIN_SECONDS: env.integer(0, 3_600, 25),
  DRAIN_DELAY_SECONDS: env.integer(0, 600, 5),
  TRUST_PROXY: env.boolean(false),
}

/** Variables of the services that verify JSON Web Tokens. */
export const authVariables = {
  AUTH_HS256_SECRET: Type.Optional(Type.String()),
  AUTH_JWKS_URL: Type.Optional(env.url('https?')),
  AUTH_ISSUER: Type.Optional(Type.String()),
  AUTH_AUDIENCE: Type.Optional(Type.String()),
}

/** What every service is configured with. Times are in the unit of their names. */
export interface CommonConfig {
  readonly nats: {
    readonly url: string
    readonly user?: string
    readonly password?: string
    readonly credsFile?: string
  }
  readonly logLevel: string
  readonly region: string
  readonly host: string
  readonly adminPort: number
  /** The variable that changes it, for the error when it is taken. */
  readonly adminPortVariable: string
  readonly drainSeconds: number
  readonly drainDelaySeconds: number
  readonly trustProxy: boolean
}

interface CommonValues {
  readonly NATS_URL: string
  readonly NATS_USER?: string
  readonly NATS_PASSWORD?: string
  readonly NATS_CREDS_FILE?: string
  readonly LOG_LEVEL: string
  readonly REGION: string
  readonly LISTEN_HOST: string
  readonly DRAIN_SECONDS: number
  readonly DRAIN_DELAY_SECONDS: number
  readonly TRUST_PROXY: boolean
}

export function commonConfig(
  values: CommonValues,
  adminPort: number,
  adminPortVariable: string,
): CommonConfig {
  return {
    nats: {
      url: values.NATS_URL,
      ...(values.NATS_USER && { user: values.NATS_USER }),
      ...(values.NATS_PASSWORD && { password: values.NATS_PASSWORD }),
      ...(values.NATS_CREDS_FILE && { credsFile: values.NATS_CREDS_FILE }),
    },
    logLevel: values.LOG_LEVEL,
    region: values.REGION,
    host: values.LISTEN_HOST,
    adminPort,
    adminPortVariable,
    drainSeconds: values.DRAIN_SECONDS,
    drainDelaySeconds: values.DRAIN_DELAY_SECONDS,
    trustProxy: values.TRUST_PROXY,
  }
}

interface AuthValues {
  readonly AUTH_HS256_SECRET?: string
  readonly AUTH_JWKS_URL?: string
  readonly AUTH_ISSUER?: string
  readonly AUTH_AUDIENCE?: string
}

/** What is wrong with the credentials in production, where nothing may be left to a default. */
export function authProblems(environment: Environment): readonly string[] {
  const { NODE_ENV, AUTH_HS256_SECRET: secret, AUTH_JWKS_URL: jwksUrl } = environment
  if (NODE_ENV !== 'production') return []
  if (!secret && !jwksUrl) return ['AUTH_HS256_SECRET or AUTH_JWKS_URL is required in production']
  if (secret === DEVELOPMENT_SECRET) return ['AUTH_HS256_SECRET is the development secret']
  if (secret && secret.length < 16) return ['AUTH_HS256_SECRET is shorter than 16 characters']
  return []
}

/** How tokens are verified; without a secret or a JWKS URL, by the development secret. */
export function authConfig(values: AuthValues): TokenOptions {
  const { AUTH_HS256_SECRET: secret, AUTH_JWKS_URL: jwksUrl } = values
  return {
    ...(secret ? { secret } : !jwksUrl && { secret: DEVELOPMENT_SECRET }),
    ...(jwksUrl && { jwksUrl }),
    ...(values.AUTH_ISSUER && { issuer: values.AUTH_ISSUER }),
    ...(values.AUTH_AUDIENCE && { audience: values.AUTH_AUDIENCE }),
  }
}
