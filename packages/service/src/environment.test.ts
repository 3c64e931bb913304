import { describe, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { type Environment, EnvironmentError, env, readEnvironment } from './environment.ts'

const schema = Type.Object({
  A_PORT: env.port(80),
  A_LEVEL: env.oneOf(['low', 'high'], 'low'),
  A_URL: Type.Optional(env.url('wss?')),
  A_FLAG: env.boolean(false),
  A_NAME: env.text(),
})
const read = (environment: Environment) => readEnvironment(schema, environment)

describe('an environment', () => {
  test('is read by type, with defaults; empty means unset', () => {
    expect(read({ A_NAME: 'x', A_PORT: '', A_FLAG: 'true', OTHER: '1' })).toEqual({
      A_NAME: 'x',
      A_PORT: 80,
      A_LEVEL: 'low',
      A_FLAG: true,
    })
  })

  test('is refused with every problem at once, and no value is repeated', () => {
    const bad = { A_PORT: '80a', A_LEVEL: 'middle', A_URL: 'http://x', A_FLAG: 'yes' }
    expect(() => read(bad)).toThrow(EnvironmentError)
    try {
      read(bad)
    } catch (error) {
      expect((error as EnvironmentError).problems).toEqual([
        'A_PORT must be a whole number from 0 to 65535',
        'A_LEVEL must be one of low, high',
        'A_URL must match ^(wss?)://[^\\s/]+',
        'A_FLAG must be boolean',
        'A_NAME is required',
      ])
    }
  })

  test.each(['-1', '65536', '1.5', '0x10', ' 80', '1e3'])('%s is no port', (port) => {
    expect(() => read({ A_NAME: 'x', A_PORT: port })).toThrow('A_PORT must be a whole number from 0 to 65535')
  })
})

test.each([
  ['ws://example.com:8080/path?a=b', undefined],
  ['wss://[::1]:1', undefined],
  ['ws://user:password@example.com', 'A_URL must be a URL without credentials and fragment'],
  ['ws://example.com/#x', 'A_URL must be a URL without credentials and fragment'],
  ['ws://[x', 'A_URL must be a URL without credentials and fragment'],
  ['ws://example.com:99999', 'A_URL must be a URL without credentials and fragment'],
  ['http://example.com', 'A_URL must match ^(wss?)://[^\\s/]+'],
])('%s as a URL for clients', (url, problem) => {
  const clients = Type.Object({ A_URL: Type.Optional(env.clientUrl('wss?')) })
  const readUrl = () => readEnvironment(clients, { A_URL: url })
  if (problem === undefined) expect(readUrl()).toEqual({ A_URL: url })
  else expect(readUrl).toThrow(problem)
})
