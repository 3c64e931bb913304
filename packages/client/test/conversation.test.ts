import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Conversation, EarlyBudget } from '../src/im/conversation.ts'
import type { Message } from '../src/im/im.ts'

const message = (seq: number) =>
  ({ convId: 'c', seq: String(seq), senderId: 'a', serverTime: '1', contentType: 1 }) as Message
const placeholder = (seq: number) =>
  ({ ...message(seq), senderId: '', serverTime: '0', contentType: 0 }) as Message

function taken(conversation: Conversation): number[] {
  const seqs: number[] = []
  for (let next = conversation.take(); next; next = conversation.take()) seqs.push(Number(next.seq))
  return seqs
}

test('whatever is lost, doubled or out of order, each place is handed out once and in order', () => {
  const pushes = fc.array(fc.integer({ min: 1, max: 800 }), { maxLength: 1_000 })
  fc.assert(
    fc.property(pushes, fc.integer({ min: 0, max: 20 }), (seqs, position) => {
      const conversation = new Conversation('c', position)
      const got: number[] = []
      for (const seq of [...seqs, 800]) {
        conversation.add(message(seq))
        got.push(...taken(conversation))
      }
      // What is missing is fetched, some at a time, the highest first.
      for (let missing = conversation.missing(); missing.length > 0; missing = conversation.missing()) {
        for (const seq of missing.reverse()) conversation.add(message(seq), true)
        got.push(...taken(conversation))
      }
      expect(got).toEqual(Array.from({ length: 800 - position }, (_, i) => position + 1 + i))
    }),
  )
})

test('places that hold nothing for the user are passed over', () => {
  const conversation = new Conversation('c', 0)
  conversation.add(message(3))
  expect(conversation.missing()).toEqual([1, 2])
  conversation.add(placeholder(1), true)
  conversation.add(placeholder(2), true)
  expect(taken(conversation)).toEqual([3])
})

test('without a place to begin at, it begins with what comes, or after what there is', () => {
  const pushed = new Conversation('c')
  pushed.add(message(7))
  expect(taken(pushed)).toEqual([7])
  const synced = new Conversation('c')
  synced.reaches(0, 7)
  expect([synced.position, synced.missing()]).toEqual([7, []])
  // Zeros are for those who are no members.
  const stranger = new Conversation('c')
  stranger.reaches(0, 0)
  expect(stranger.position).toBeUndefined()
})

test('what was before the user joined is not asked for', () => {
  const conversation = new Conversation('c', 2)
  conversation.reaches(500, 502)
  expect(conversation.missing()).toEqual([501, 502])
})

test('what waits is bounded over all conversations, and what was not kept is fetched', () => {
  const budget = new EarlyBudget()
  const conversations = Array.from({ length: 40 }, (_, i) => new Conversation(`c${i}`, 0, budget))
  for (const each of conversations) for (let seq = 1; seq <= 400; seq++) each.add(message(seq))
  expect(budget.left).toBe(0)
  const missing = conversations.map((each) => each.missing().length)
  expect(missing.filter((count) => count > 0).length).toBeGreaterThan(20)
  for (const each of conversations) {
    const got = taken(each)
    for (let seqs = each.missing(); seqs.length > 0; seqs = each.missing()) {
      for (const seq of seqs) each.add(message(seq), true)
      got.push(...taken(each))
    }
    expect(got).toEqual(Array.from({ length: 400 }, (_, i) => i + 1))
  }
  expect(budget).toEqual(new EarlyBudget())
  const [left] = conversations as [Conversation]
  left.add(message(500))
  left.clear()
  expect(budget).toEqual(new EarlyBudget())
})
