import { isIPv4 } from 'node:net'
import { type Environment, env } from './environment.ts'
import { readSecrets, SECRET_LENGTH_MIN } from './secret-file.ts'

/** A secret that has a well-known default, so that everything runs on a developer's machine as it is. */
export interface SecretVariable {
  readonly variable: string
  readonly developmentSecret: string
  /** Variables that make the secret unnecessary. */
  readonly alternatives?: readonly string[]
}

/** For the services that have such a secret. */
export const developmentSecretVariables = {
  ALLOW_DEVELOPMENT_SECRET: env.boolean(
    false,
    'outside production: trust the development secret on addresses that others can reach',
  ),
}

/**
 * What is wrong with a secret: in production it must be set, and not to what everybody knows; outside of it, a
 * service that trusts the development secret may be reached from this machine alone, unless
 * ALLOW_DEVELOPMENT_SECRET=true says that others may pretend to be anybody.
 */
export function secretProblems(
  environment: Environment,
  { variable, developmentSecret, alternatives = [] }: SecretVariable,
): readonly string[] {
  const { NODE_ENV, LISTEN_HOST: host, ALLOW_DEVELOPMENT_SECRET: allowed } = environment
  const secret = environment[variable]
  const file = environment[`${variable}_FILE`]
  if (file) return fileProblems(`${variable}_FILE`, file, { variable, developmentSecret }, environment)
  const known = secret ? secret === developmentSecret : alternatives.every((each) => !environment[each])
  if (NODE_ENV === 'production') {
    if (!secret && known) return [`${[variable, ...alternatives].join(' or ')} is required in production`]
    if (known) return [`${variable} is the development secret`]
    if (secret && secret.length < SECRET_LENGTH_MIN)
      return [`${variable} is shorter than ${SECRET_LENGTH_MIN} characters`]
    return []
  }
  if (!known || !host || isLoopback(host) || allowed === 'true' || allowed === '1') return []
  const remedies = [variable, ...alternatives].join(' or ')
  return [
    `LISTEN_HOST lets others reach a service that trusts the development secret: set ${remedies}, ` +
      'or ALLOW_DEVELOPMENT_SECRET=true',
  ]
}

/** A file of secrets is there to be trusted anywhere: it never holds what everybody knows. */
function fileProblems(
  name: string,
  file: string,
  { variable, developmentSecret }: SecretVariable,
  environment: Environment,
): readonly string[] {
  if (environment[variable]) return [`${variable} and ${name} exclude each other`]
  const secrets = readSecrets({ file, developmentSecret })
  return typeof secrets === 'string' ? [`${name}: the file ${secrets}`] : []
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
