import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseConversationId, parseSeq, parseServerMsgId, serverMsgIdOf } from './conversation-id.ts'

describe('conversation ids', () => {
  test.each([
    ['single:1-2', { kind: 'single', members: ['1', '2'] }],
    ['single:10-9', { kind: 'single', members: ['10', '9'] }],
    ['single:Zoe-ann', { kind: 'single', members: ['Zoe', 'ann'] }],
    ['group:42', { kind: 'group' }],
    ['group:a.b*c>d/é', { kind: 'group' }],
    ['notice:system', { kind: 'notice' }],
  ])('%s', (text, expected) => {
    expect(parseConversationId(text)).toEqual(expected)
  })

  test.each([
    '',
    'single:',
    'single:9-10',
    'single:1-1',
    'single:1-2-3',
    'single:a b-c',
    'group:',
    'group:a b',
    'group:a\n',
    'room:1',
    'Group:1',
    `group:${'x'.repeat(155)}`,
    `group:${'测'.repeat(52)}`,
  ])('%j is none', (text) => {
    expect(parseConversationId(text)).toBeUndefined()
  })

  test('whatever it is given, parsing does not throw, and an id of two names two users in order', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `single:${text}`),
        ),
        (text) => {
          const parsed = parseConversationId(text)
          if (parsed?.kind === 'single') expect(`single:${parsed.members.join('-')}`).toBe(text)
        },
      ),
    )
  })
})

describe('ids of stored messages', () => {
  test('name their place', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.integer({ min: 1, max: 999_999_999_999_999 }),
        (convId, seq) => {
          expect(parseServerMsgId(serverMsgIdOf(convId, seq))).toEqual({ convId, seq })
        },
      ),
    )
  })

  test.each(['', 'group:a', 'group:a-', 'group:a-0', 'group:a-x', '-1', 'group:a-1e3', 'group:a-u00ff'])(
    '%j is none',
    (text) => {
      expect(parseServerMsgId(text)).toBeUndefined()
    },
  )

  test.each([
    ['0', 0],
    ['007', 7],
    ['999999999999999', 999_999_999_999_999],
    ['9999999999999999', undefined],
    ['-1', undefined],
    ['1.0', undefined],
    ['', undefined],
    ['٣', undefined],
  ])('the sequence number %j', (text, expected) => {
    expect(parseSeq(text)).toBe(expected)
  })
})
