import { describe, expect, test } from '@jest/globals'
import { authProblems } from './auth-config.ts'

describe('credentials in production', () => {
  test.each([
    [{}, 'AUTH_HS256_SECRET or AUTH_JWKS_URL is required in production'],
    [
      { AUTH_HS256_SECRET: 'carillon-development-secret-not-for-production' },
      'AUTH_HS256_SECRET is the development secret',
    ],
    [{ AUTH_HS256_SECRET: 'short' }, 'AUTH_HS256_SECRET is shorter than 16 characters'],
  ])('%j is refused', (environment, problem) => {
    expect(authProblems({ NODE_ENV: 'production', ...environment })).toEqual([problem])
    expect(authProblems(environment)).toEqual([])
  })

  test('a secret of its own or a JWKS URL is enough', () => {
    const production = { NODE_ENV: 'production' }
    expect(authProblems({ ...production, AUTH_HS256_SECRET: 'a secret that nobody knows' })).toEqual([])
    expect(authProblems({ ...production, AUTH_JWKS_URL: 'https://keys' })).toEqual([])
  })
})

test('the development secret stays on this machine', () => {
  expect(authProblems({ LISTEN_HOST: '0.0.0.0' })).toEqual([
    expect.stringContaining('set AUTH_HS256_SECRET or AUTH_JWKS_URL, or ALLOW_DEVELOPMENT_SECRET=true'),
  ])
})
