import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Command } from './protocol.ts'
import { leave, Session, step } from './session.ts'

const limits = { subscriptionsMax: 3, refusal: () => undefined }
const subscribe = (auctionId: string, single = false, recover = false): Command => ({
  type: 'subscribe',
  event: 'bid',
  auctionId,
  single,
  recover,
})
const after = (...commands: Command[]) => {
  const session = new Session()
  for (const command of commands) step(session, command, limits)
  return session
}
const effectsOf = (session: Session, command: Command) =>
  step(session, command, limits).map(({ type }) => type)

describe('a session', () => {
  test('subscribes once, however often it is asked', () => {
    expect(effectsOf(new Session(), subscribe('1'))).toEqual(['subscribe', 'reply'])
    expect(effectsOf(after(subscribe('1')), subscribe('1'))).toEqual(['reply'])
    expect(effectsOf(after(subscribe('1')), subscribe('1', true, true))).toEqual(['reply', 'recover'])
  })

  test('single replaces the same event only', () => {
    const finish: Command = {
      type: 'subscribe',
      event: 'finish',
      auctionId: '1',
      single: true,
      recover: false,
    }
    const session = after(subscribe('1'), subscribe('2'), finish)
    expect(effectsOf(session, subscribe('3', true))).toEqual([
      'unsubscribe',
      'unsubscribe',
      'subscribe',
      'reply',
    ])
    step(session, subscribe('2', true), limits)
    expect([...session.subscriptions()]).toEqual([
      { event: 'bid', auctionId: '2' },
      { event: 'finish', auctionId: '1' },
    ])
  })

  test('is bounded; replacing is always possible', () => {
    const full = after(subscribe('1'), subscribe('2'), subscribe('3'))
    expect(() => step(full, subscribe('4'), limits)).toThrow('3 subscriptions')
    expect(full.size).toBe(3)
    expect(effectsOf(full, subscribe('4', true))).toHaveLength(5)
  })

  test('is bounded by its user and its instance, for what is new', () => {
    const session = after(subscribe('1'))
    const full = { subscriptionsMax: 3, refusal: (topic: string) => `no room for ${topic}` }
    expect(() => step(session, subscribe('2'), full)).toThrow('no room for auction.2.bid')
    expect(step(session, subscribe('1'), full)).toHaveLength(1)
    expect(step(session, subscribe('2', true), full)).toHaveLength(3)
    expect(session.size).toBe(1)
  })

  test('a cancel of what is not followed is answered', () => {
    expect(effectsOf(new Session(), { type: 'cancel', event: 'bid', auctionId: '1' })).toEqual(['reply'])
  })

  test('a step takes as long with 100,000 subscriptions as with one', () => {
    const session = new Session()
    const withCapacity = { ...limits, subscriptionsMax: 100_000 }
    for (let i = 0; i < 100_000; i++) step(session, subscribe(String(i)), withCapacity)
    // Copying would take minutes.
    for (let i = 0; i < 100_000; i++) step(session, subscribe(String(i)), withCapacity)
    for (let i = 0; i < 100_000; i++)
      step(session, { type: 'cancel', event: 'bid', auctionId: String(i) }, withCapacity)
    expect(session.size).toBe(0)
  })

  test('the effects always lead to what the session says, and leaving undoes all of it', () => {
    const command = fc.record({
      type: fc.constantFrom('subscribe' as const, 'cancel' as const),
      event: fc.constantFrom('bid' as const, 'enter' as const),
      auctionId: fc.constantFrom('1', '2', '3', '4'),
      single: fc.boolean(),
      recover: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(command), (commands) => {
        const session = new Session()
        const held = new Map<string, number>()
        const perform = (effects: ReturnType<typeof leave>) => {
          for (const effect of effects) {
            if (effect.type !== 'subscribe' && effect.type !== 'unsubscribe') continue
            const key = JSON.stringify(effect.subscription)
            held.set(key, (held.get(key) ?? 0) + (effect.type === 'subscribe' ? 1 : -1))
          }
        }
        for (const each of commands) {
          perform(step(session, each as Command, { ...limits, subscriptionsMax: 100 }))
          const now = [...held].filter(([, count]) => count !== 0)
          const followed = [...session.subscriptions()]
          expect(new Map(now)).toEqual(new Map(followed.map((one) => [JSON.stringify(one), 1])))
          expect(session.size).toBe(followed.length)
        }
        perform(leave(session))
        expect([...held.values()].every((count) => count === 0)).toBe(true)
        expect(session.size).toBe(0)
      }),
    )
  })
})
