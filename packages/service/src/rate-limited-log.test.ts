import { expect, test } from '@jest/globals'
import { RateLimitedLog } from './rate-limited-log.ts'

test('each message has a budget of its own, and says what was left out', () => {
  const lines: [object, string][] = []
  const write = (fields: object, message: string) => void lines.push([fields, message])
  let now = 0
  const log = new RateLimitedLog({ info: write, warn: write, error: write }, () => now)
  for (let i = 0; i < 1_000; i++) log.warn({ i }, 'refused')
  expect(lines).toHaveLength(20)
  expect(log.suppressed).toBe(980)
  log.info({}, 'something else')
  expect(lines).toHaveLength(21)
  now = 500
  log.warn({ i: 1_000 }, 'refused')
  log.warn({ i: 1_001 }, 'refused')
  expect(lines.slice(21)).toEqual([[{ i: 1_000, suppressed: 980 }, 'refused']])
  now = 3_600_000
  for (let i = 0; i < 1_000; i++) log.warn({ i }, 'refused')
  expect(lines).toHaveLength(22 + 20)
})
