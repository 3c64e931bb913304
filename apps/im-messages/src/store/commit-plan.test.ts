import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { limits } from '../limits.ts'
import type { IncomingMessage } from '../message.ts'
import { type Known, memberKey, messageKey, planCommit, type Send, singlesToCreate } from './commit-plan.ts'

const message = (convId: string, senderId: string, clientMsgId: string, stored = true): IncomingMessage => ({
  convId,
  senderId,
  clientMsgId,
  stored,
  offlinePush: false,
  body: Buffer.from(clientMsgId),
})

describe('a plan', () => {
  const conv = fc.constantFrom('group:a', 'group:b', 'group:c')
  const user = fc.constantFrom('ann', 'bob', 'carl')
  const send = fc.record({
    messages: fc.array(
      fc.record({
        convId: conv,
        senderId: user,
        clientMsgId: fc.integer({ min: 0, max: 12 }).map(String),
        stored: fc.boolean(),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    trusted: fc.boolean(),
    dueAtMs: fc.option(fc.constant(99), { nil: undefined }),
  })

  test('numbers without gaps, nothing twice, nothing of what is refused', () => {
    fc.assert(
      fc.property(
        fc.array(send, { maxLength: 20 }),
        fc.uniqueArray(fc.tuple(conv, user), { comparator: (a, b) => `${a}` === `${b}` }),
        (requests, pairs) => {
          const known: Known = {
            conversations: new Map([
              ['group:a', { maxSeq: 0, outboxNo: 0 }],
              ['group:b', { maxSeq: 41, outboxNo: 7 }],
            ]),
            members: new Set(pairs.map(([convId, userId]) => memberKey(convId, userId))),
            stored: new Map(),
            delayed: new Set(),
            delayedCounts: new Map(),
          }
          const sends: Send[] = requests.map((request) => ({
            ...request,
            messages: request.messages.map((m) => message(m.convId, m.senderId, m.clientMsgId, m.stored)),
          }))
          const plan = planCommit(sends, known, 5)

          for (const [convId, before] of known.conversations) {
            const seqs = plan.messages.filter((m) => m.convId === convId).map(({ seq }) => seq)
            expect(seqs).toEqual(seqs.map((_, i) => before.maxSeq + i + 1))
            expect(plan.counters.get(convId)?.maxSeq ?? before.maxSeq).toBe(before.maxSeq + seqs.length)
          }
          const keys = plan.messages.map(messageKey)
          expect(new Set(keys).size).toBe(keys.length)
          for (const [i, outcome] of plan.outcomes.entries()) {
            const { messages, trusted } = sends[i] as Send
            const allowed = messages.every(
              ({ convId, senderId }) =>
                known.conversations.has(convId) &&
                (trusted || known.members.has(memberKey(convId, senderId))),
            )
            expect(outcome.ok).toBe(allowed)
            if (outcome.ok) expect(outcome.receipts).toHaveLength(messages.length)
          }
          const receipts = plan.outcomes.flatMap((outcome) => (outcome.ok ? outcome.receipts : []))
          expect(receipts.filter(({ type }) => type === 'stored')).toHaveLength(plan.messages.length)
          // A duplicate names the place of the first one.
          for (const receipt of receipts) {
            if (receipt.type !== 'duplicate') continue
            expect(plan.messages).toContainEqual(receipt.message)
          }
        },
      ),
    )
  })

  test('a conversation of two is made for one of the two alone', () => {
    const sends: Send[] = [
      {
        messages: [message('single:ann-bob', 'ann', '1'), message('single:bob-carl', 'ann', '2')],
        trusted: false,
      },
      { messages: [message('single:ann-dan', 'system', '3'), message('group:x', 'ann', '4')], trusted: true },
      { messages: [message('single:ann-eve', 'eve', '5'), message('group:a', 'eve', '6')], trusted: false },
      { messages: [message('single:ann-fay', 'ann', '7'), message('group:a', 'ann', '8')], trusted: false },
      { messages: [message('single:ann-gus', 'system', '9')], trusted: true },
      { messages: [message('single:ann-hal', 'ann', '10')], trusted: false, dueAtMs: 99 },
    ]
    const counters = { maxSeq: 0, outboxNo: 0 }
    const known: Known = {
      conversations: new Map([['group:a', counters]]),
      members: new Set([memberKey('group:a', 'ann')]),
      stored: new Map(),
      delayed: new Set(),
      delayedCounts: new Map([['ann', limits.delayedMessagesMax]]),
    }
    // None for a request that is refused for another of its messages.
    expect([...singlesToCreate(sends, known)]).toEqual([
      ['single:ann-fay', ['ann', 'fay']],
      ['single:ann-gus', ['ann', 'gus']],
    ])
    const all = new Map([...known.conversations, ['single:ann-fay', counters], ['single:ann-gus', counters]])
    expect(singlesToCreate(sends, { ...known, conversations: all }).size).toBe(0)
  })
})
