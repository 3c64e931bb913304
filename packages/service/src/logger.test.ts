import { expect, test } from '@jest/globals'
import { createLogger } from './logger.ts'

const TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIzNjAwIn0.c2lnbmF0dXJl'

test('credentials never reach a line', () => {
  const lines: string[] = []
  const log = createLogger('x', 'i', 'info', { write: (line) => void lines.push(line) })
  log.info(
    { token: 'plain', headers: { authorization: 'Bearer abc' }, url: `/ws/${TOKEN}` },
    `connect ${TOKEN}`,
  )
  log.error({ err: new Error(`bad ${TOKEN}`), query: { sid: '110sabc' } }, 'failed')
  const text = lines.join('')
  for (const secret of [TOKEN, 'plain', 'Bearer abc', '110sabc']) expect(text).not.toContain(secret)
  expect(text.match(/\[redacted\]/g)?.length).toBeGreaterThanOrEqual(5)
})
