import { DEVELOPMENT_SECRET, type TokenOptions } from '@carillon/auth'
import {
  developmentSecretVariables,
  type Environment,
  env,
  secretProblems,
  watchedSecrets,
} from '@carillon/service'
import { Type } from 'typebox'

/** Variables of the services that verify JSON Web Tokens. */
export const authVariables = {
  ...developmentSecretVariables,
  AUTH_HS256_SECRET: Type.Optional(
    Type.String({
      description:
        'the secret that tokens are verified with; this, its file or `AUTH_JWKS_URL` is required in production',
    }),
  ),
  AUTH_HS256_SECRET_FILE: Type.Optional(
    Type.String({ description: 'a file of such secrets, see [Keys](#keys)' }),
  ),
  AUTH_JWKS_URL: Type.Optional(
    env.url('https?', undefined, 'where the public keys that tokens are verified with are fetched'),
  ),
  AUTH_ISSUER: Type.Optional(Type.String({ description: 'the `iss` that every token must have' })),
  AUTH_AUDIENCE: Type.Optional(Type.String({ description: 'an `aud` that every token must have' })),
}

interface AuthValues {
  readonly AUTH_HS256_SECRET?: string
  readonly AUTH_HS256_SECRET_FILE?: string
  readonly AUTH_JWKS_URL?: string
  readonly AUTH_ISSUER?: string
  readonly AUTH_AUDIENCE?: string
}

/** What is wrong with the credentials: nothing may be left to a default where others can reach the service. */
export function authProblems(environment: Environment): readonly string[] {
  return secretProblems(environment, {
    variable: 'AUTH_HS256_SECRET',
    developmentSecret: DEVELOPMENT_SECRET,
    alternatives: ['AUTH_JWKS_URL'],
  })
}

/** How tokens are verified; without a secret or a JWKS URL, by the development secret. */
export function authConfig(values: AuthValues): TokenOptions {
  const { AUTH_HS256_SECRET: text, AUTH_HS256_SECRET_FILE: file, AUTH_JWKS_URL: jwksUrl } = values
  const secret = file
    ? watchedSecrets({ file, variable: 'AUTH_HS256_SECRET_FILE', developmentSecret: DEVELOPMENT_SECRET })
    : text
  return {
    ...(secret ? { secret } : !jwksUrl && { secret: DEVELOPMENT_SECRET }),
    ...(jwksUrl && { jwksUrl }),
    ...(values.AUTH_ISSUER && { issuer: values.AUTH_ISSUER }),
    ...(values.AUTH_AUDIENCE && { audience: values.AUTH_AUDIENCE }),
  }
}
