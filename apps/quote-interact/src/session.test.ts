import { describe, expect, test } from '@jest/globals'
import { type Market, topicOf } from './market.ts'
import type { Command } from './protocol.ts'
import { emptySession, expire, leave, nextExpiryMs, type Session, step } from './session.ts'

const limits = { subscriptionsMax: 2, subscriptionTtlMs: 3_600_000 }
const market = (marketId: string, kind: Market['kind'] = 'chloe'): Market => ({
  kind,
  eventId: 'e',
  marketId,
})
const follow = (marketId: string, kind?: Market['kind']): Command => ({
  type: 'follow',
  market: market(marketId, kind),
})
const after = (nowMs: number, ...commands: Command[]) =>
  commands.reduce<Session>((session, command) => step(session, command, nowMs, limits)[0], emptySession)
const types = (effects: readonly { readonly type: string }[]) => effects.map(({ type }) => type)

describe('a session', () => {
  test('subscribes once and answers each request with the quote', () => {
    const [session, effects] = step(emptySession, follow('m'), 0, limits)
    expect(types(effects)).toEqual(['subscribe', 'snapshot'])
    expect(types(step(session, follow('m'), 0, limits)[1])).toEqual(['snapshot'])
  })

  test('a lease lasts an hour from its last request, and ends silently', () => {
    let session = after(0, follow('a'), follow('b'))
    session = step(session, follow('a'), 1_000, limits)[0]
    expect(nextExpiryMs(session)).toBe(3_600_000)
    expect(expire(session, 3_599_999)[1]).toEqual([])
    const [left, effects] = expire(session, 3_600_000)
    expect(effects).toEqual([{ type: 'unsubscribe', market: market('b') }])
    expect([...left.leases.keys()]).toEqual([topicOf(market('a'))])
    expect(nextExpiryMs(expire(left, 3_601_000)[0])).toBeUndefined()
  })

  test('unsubscribe clears both kinds, and only what is followed', () => {
    const session = after(0, follow('m', 'chloe'), follow('m', 'fancy'))
    const unfollow: Command = { type: 'unfollow', markets: [market('m', 'chloe'), market('m', 'fancy')] }
    const [empty, effects] = step(session, unfollow, 0, limits)
    expect(types(effects)).toEqual(['unsubscribe', 'unsubscribe'])
    expect(step(empty, unfollow, 0, limits)[1]).toEqual([])
  })

  test('is bounded; renewing is always possible', () => {
    const full = after(0, follow('a'), follow('b'))
    expect(() => step(full, follow('c'), 0, limits)).toThrow('2 markets')
    expect(types(step(full, follow('b'), 0, limits)[1])).toEqual(['snapshot'])
    expect(leave(full)).toHaveLength(2)
  })

  test('stop and start hold back and let go', () => {
    expect(types(step(emptySession, { type: 'stop' }, 0, limits)[1])).toEqual(['pause'])
    expect(types(step(emptySession, { type: 'start' }, 0, limits)[1])).toEqual(['resume'])
  })
})
