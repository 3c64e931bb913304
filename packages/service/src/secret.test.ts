import { describe, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { commonConfig, commonVariables } from './common-config.ts'
import { type Environment, readEnvironment } from './environment.ts'
import { secretProblems } from './secret.ts'

const problems = (environment: Environment) =>
  secretProblems(environment, {
    variable: 'A_SECRET',
    developmentSecret: 'everybody knows this secret',
    alternatives: ['A_URL'],
  })
const exposed =
  'LISTEN_HOST lets others reach a service that trusts the development secret: ' +
  'set A_SECRET or A_URL, or ALLOW_DEVELOPMENT_SECRET=true'

describe('the development secret outside production', () => {
  test.each(['0.0.0.0', '::', '10.0.0.1', '192.168.1.7', 'example.org', '127.0.0.1.example.org'])(
    'is refused with LISTEN_HOST=%s',
    (LISTEN_HOST) => {
      expect(problems({ LISTEN_HOST })).toEqual([exposed])
      expect(problems({ LISTEN_HOST, A_SECRET: 'everybody knows this secret' })).toEqual([exposed])
      expect(problems({ LISTEN_HOST, A_SECRET: 'mine' })).toEqual([])
      expect(problems({ LISTEN_HOST, A_URL: 'https://keys' })).toEqual([])
      expect(problems({ LISTEN_HOST, ALLOW_DEVELOPMENT_SECRET: 'true' })).toEqual([])
    },
  )

  test.each([undefined, '', '127.0.0.1', '127.8.9.1', '::1', 'localhost'])(
    'is fine with LISTEN_HOST=%s',
    (host) => {
      expect(problems({ LISTEN_HOST: host })).toEqual([])
    },
  )
})

describe('in production', () => {
  test.each([
    [{}, 'A_SECRET or A_URL is required in production'],
    [{ A_SECRET: 'everybody knows this secret' }, 'A_SECRET is the development secret'],
    [{ ALLOW_DEVELOPMENT_SECRET: 'true' }, 'A_SECRET or A_URL is required in production'],
    [{ A_SECRET: 'short' }, 'A_SECRET is shorter than 16 characters'],
  ])('%j is refused', (environment, problem) => {
    expect(problems({ NODE_ENV: 'production', ...environment })).toEqual([problem])
  })
})

describe('addresses', () => {
  const hosts = (environment: Environment) => {
    const values = readEnvironment(Type.Object(commonVariables), environment)
    const { host, adminHost } = commonConfig(values, 0, 'A_PORT')
    return [host, adminHost]
  }

  test.each<[Environment, string, string]>([
    [{}, '127.0.0.1', '127.0.0.1'],
    [{ NODE_ENV: 'production' }, '0.0.0.0', '0.0.0.0'],
    [{ LISTEN_HOST: '10.0.0.1' }, '10.0.0.1', '10.0.0.1'],
    [{ LISTEN_HOST: '10.0.0.1', ADMIN_HOST: '127.0.0.1' }, '10.0.0.1', '127.0.0.1'],
    [{ NODE_ENV: 'production', ADMIN_HOST: '127.0.0.1' }, '0.0.0.0', '127.0.0.1'],
  ])('%j', (environment, host, adminHost) => {
    expect(hosts(environment)).toEqual([host, adminHost])
  })
})
