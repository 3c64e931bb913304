import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Market, marketOf } from './market.ts'
import type { Command } from './protocol.ts'
import { expire, leave, Session, step } from './session.ts'

const limits = { subscriptionsMax: 2, subscriptionTtlMs: 3_600_000, refusal: () => undefined }
const market = (marketId: string, kind: Market['kind'] = 'chloe') => marketOf(kind, 'e', marketId)
const topic = (marketId: string) => market(marketId).topic
const follow = (marketId: string, kind?: Market['kind']): Command => ({
  type: 'follow',
  market: market(marketId, kind),
})
const after = (nowMs: number, ...commands: Command[]) => {
  const session = new Session()
  for (const command of commands) step(session, command, nowMs, limits)
  return session
}
const types = (effects: readonly { readonly type: string }[]) => effects.map(({ type }) => type)

describe('a session', () => {
  test('subscribes once and answers each request with the quote', () => {
    const session = new Session()
    expect(types(step(session, follow('m'), 0, limits))).toEqual(['subscribe', 'snapshot'])
    expect(types(step(session, follow('m'), 0, limits))).toEqual(['snapshot'])
  })

  test('a lease lasts an hour from its last request, and ends silently', () => {
    const session = after(0, follow('a'), follow('b'))
    step(session, follow('a'), 1_000, limits)
    expect(session.nextExpiryMs).toBe(3_600_000)
    expect(expire(session, 3_599_999)).toEqual([])
    expect(expire(session, 3_600_000)).toEqual([{ type: 'unsubscribe', topic: topic('b') }])
    expect(session.topics).toEqual([topic('a')])
    expect(session.nextExpiryMs).toBe(3_601_000)
    expect(expire(session, 3_601_000)).toHaveLength(1)
    expect(session.nextExpiryMs).toBeUndefined()
  })

  test('unsubscribe clears both kinds, and only what is followed', () => {
    const session = after(0, follow('m', 'chloe'), follow('m', 'fancy'))
    const unfollow: Command = { type: 'unfollow', markets: [market('m', 'chloe'), market('m', 'fancy')] }
    expect(types(step(session, unfollow, 0, limits))).toEqual(['unsubscribe', 'unsubscribe'])
    expect(step(session, unfollow, 0, limits)).toEqual([])
  })

  test('is bounded; renewing is always possible', () => {
    const full = after(0, follow('a'), follow('b'))
    expect(() => step(full, follow('c'), 0, limits)).toThrow('2 markets')
    expect(full.size).toBe(2)
    expect(types(step(full, follow('b'), 0, limits))).toEqual(['snapshot'])
    expect(leave(full)).toHaveLength(2)
  })

  test('is bounded by its user and its instance, for what is new', () => {
    const session = after(0, follow('a'))
    const full = { ...limits, refusal: (wanted: string) => `no room for ${wanted}` }
    expect(() => step(session, follow('b'), 0, full)).toThrow('no room for quote.chloe.e.b')
    expect(types(step(session, follow('a'), 0, full))).toEqual(['snapshot'])
  })

  test('stop and start hold back and let go', () => {
    expect(types(step(new Session(), { type: 'stop' }, 0, limits))).toEqual(['pause'])
    expect(types(step(new Session(), { type: 'start' }, 0, limits))).toEqual(['resume'])
  })

  test('a step takes as long with 100,000 markets as with one', () => {
    const session = new Session()
    const withCapacity = { ...limits, subscriptionsMax: 100_000 }
    const commands = Array.from({ length: 100_000 }, (_, i) => follow(String(i)))
    // Copying would take minutes.
    for (let round = 0; round < 3; round++) {
      for (const command of commands) step(session, command, round, withCapacity)
    }
    expect(session.nextExpiryMs).toBe(limits.subscriptionTtlMs + 2)
    expect(leave(session)).toHaveLength(100_000)
  })

  test('the first lease is always the one that ends first, and none is missed', () => {
    const moves = fc.array(fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd'), afterMs: fc.nat(2_000_000) }))
    fc.assert(
      fc.property(moves, (all) => {
        const session = new Session()
        const wanted = new Map<string, number>()
        let now = 0
        for (const { id, afterMs } of all) {
          now += afterMs
          const ended = [...wanted].filter(([, at]) => at <= now).map(([each]) => each)
          expect(expire(session, now)).toHaveLength(ended.length)
          for (const each of ended) wanted.delete(each)
          step(session, follow(id), now, { ...limits, subscriptionsMax: 10 })
          wanted.set(topic(id), now + limits.subscriptionTtlMs)
          expect(session.nextExpiryMs).toBe(Math.min(...wanted.values()))
        }
      }),
    )
  })
})
