import { DEVELOPMENT_SECRET, type SignMethod, type SignOptions, type TokenOptions } from '@carillon/auth'
import { authConfig, authProblems, authVariables } from '@carillon/gateway'
import {
  type CommonConfig,
  commonConfig,
  commonVariables,
  type Environment,
  env,
  readEnvironment,
} from '@carillon/service'
import { Type } from 'typebox'
import { isLoopback } from './http/hosts.ts'

export const variables = Type.Object({
  ...commonVariables,
  ...authVariables,
  CONSOLE_LISTEN_PORT: env.port(8_090, 'the port that browsers reach'),
  CONSOLE_ADMIN_PORT: env.port(9_090, 'probes and metrics'),
  CONSOLE_MAX_CONNECTIONS: env.integer(1, 100_000, 1_000, 'sockets of browsers that are open at once'),
  CONSOLE_PUBLIC_URL: Type.Optional(
    env.clientUrl('https?', 'where browsers find the console; required in production, with https'),
  ),
  CONSOLE_ROLE_CLAIM: env.text('role', 'the claim of a token that says `viewer` or `operator`'),
  VOICE_SID_SECRET: Type.Optional(
    Type.String({ description: 'the secret that sids are signed with; required in production' }),
  ),
  VOICE_SIGN: Type.Unsafe<SignMethod>(
    env.oneOf(['md5', 'hmac-sha256'], 'md5', 'how clients sign their frames'),
  ),
  VOICE_SIGN_SECRET: Type.Optional(Type.String({ description: 'the secret of `hmac-sha256`' })),
})

/** The secrets by which test users' credentials are made. */
export interface TryItSecrets {
  readonly token: string
  readonly sid: string
  readonly sign: SignOptions
}

export interface ConsoleConfig extends CommonConfig {
  readonly port: number
  /** Sockets of browsers that are open at once. */
  readonly connectionsMax: number
  /** Where browsers find the console; undefined for this machine's own addresses. */
  readonly origin: string | undefined
  readonly auth: TokenOptions
  readonly roleClaim: string
  /** Nobody needs to sign in: reached on this machine alone, and nothing to sign in with is configured. */
  readonly developmentSession: boolean
  readonly tryIt: TryItSecrets | undefined
}

/** @throws {EnvironmentError} with everything that is wrong. */
export function readConfig(environment: Environment): ConsoleConfig {
  const values = readEnvironment(variables, environment, authProblems, consoleProblems)
  const common = commonConfig(values, values.CONSOLE_ADMIN_PORT, 'CONSOLE_ADMIN_PORT')
  const production = values.NODE_ENV === 'production'
  const { AUTH_HS256_SECRET: secret, AUTH_HS256_SECRET_FILE, AUTH_JWKS_URL } = values
  const configured = Boolean(
    AUTH_HS256_SECRET_FILE || AUTH_JWKS_URL || (secret && secret !== DEVELOPMENT_SECRET),
  )
  return {
    ...common,
    port: values.CONSOLE_LISTEN_PORT,
    connectionsMax: values.CONSOLE_MAX_CONNECTIONS,
    origin: values.CONSOLE_PUBLIC_URL && new URL(values.CONSOLE_PUBLIC_URL).origin,
    auth: authConfig(values),
    roleClaim: values.CONSOLE_ROLE_CLAIM,
    developmentSession:
      !production && !configured && isLoopback(common.host) && isLoopback(publicHost(values)),
    tryIt:
      production || AUTH_HS256_SECRET_FILE || (AUTH_JWKS_URL && !secret)
        ? undefined
        : {
            token: secret || DEVELOPMENT_SECRET,
            sid: values.VOICE_SID_SECRET || DEVELOPMENT_SECRET,
            sign: { method: values.VOICE_SIGN, secret: values.VOICE_SIGN_SECRET ?? '' },
          },
  }
}

/** Without a public URL it is a name of this machine. */
function publicHost({ CONSOLE_PUBLIC_URL: url }: { readonly CONSOLE_PUBLIC_URL?: string }): string {
  return url === undefined ? 'localhost' : new URL(url).hostname
}

/** Where others can reach the console, who may use it must be said, and under which name it is reached. */
function consoleProblems(environment: Environment): readonly string[] {
  const { NODE_ENV, CONSOLE_PUBLIC_URL: url, AUTH_ISSUER, AUTH_AUDIENCE } = environment
  if (NODE_ENV !== 'production') return []
  return [
    ...(url?.startsWith('https://') ? [] : ['CONSOLE_PUBLIC_URL must be an https URL in production']),
    ...(AUTH_ISSUER ? [] : ['AUTH_ISSUER is required in production: whose tokens are let in']),
    ...(AUTH_AUDIENCE
      ? []
      : ['AUTH_AUDIENCE is required in production: it tells tokens for the console from those of clients']),
  ]
}
