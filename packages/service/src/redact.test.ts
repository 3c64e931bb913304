import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { redactTokens } from './redact.ts'

/** What it is to do, as an expression that is too slow for hostile texts. */
const byExpression = (text: string) => text.replace(/eyJ[\w-]{4,}\.[\w-]+\.[\w-]*/g, '[redacted]')

test('does what the expression does', () => {
  const piece = fc.oneof(
    fc.constantFrom('eyJ', 'eyJhbGci', '.', '..', 'e', 'eyeyJ', '-_', '"', ' ', '/ws/', 'é', '\n'),
    fc.string({ maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = pieces.join('')
      expect(redactTokens(text)).toBe(byExpression(text))
    }),
    { numRuns: 2_000 },
  )
})

test.each([
  ['one part without an end', 'eyJ'.repeat(700_000)],
  ['parts without a third', 'eyJabcd.'.repeat(2) + 'eyJabcdé.'.repeat(200_000)],
  ['header after header', 'eyJabcd,'.repeat(200_000)],
])('takes time in proportion to the text: %s', (_name, text) => {
  // An expression takes minutes for the first of them.
  const startedAt = performance.now()
  redactTokens(text)
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})
