import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Command } from './protocol.ts'
import { emptySession, leave, type Session, step } from './session.ts'

const limits = { subscriptionsMax: 3 }
const subscribe = (auctionId: string, single = false, recover = false): Command => ({
  type: 'subscribe',
  event: 'bid',
  auctionId,
  single,
  recover,
})
const after = (...commands: Command[]) =>
  commands.reduce<Session>((session, command) => step(session, command, limits)[0], emptySession)
const effectsOf = (session: Session, command: Command) =>
  step(session, command, limits)[1].map(({ type }) => type)

describe('a session', () => {
  test('subscribes once, however often it is asked', () => {
    expect(effectsOf(emptySession, subscribe('1'))).toEqual(['subscribe', 'reply'])
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
    expect(step(session, subscribe('2', true), limits)[0].subscriptions).toEqual([
      { event: 'bid', auctionId: '2' },
      { event: 'finish', auctionId: '1' },
    ])
  })

  test('is bounded; replacing is always possible', () => {
    const full = after(subscribe('1'), subscribe('2'), subscribe('3'))
    expect(() => step(full, subscribe('4'), limits)).toThrow('3 subscriptions')
    expect(effectsOf(full, subscribe('4', true))).toHaveLength(5)
  })

  test('a cancel of what is not followed is answered', () => {
    expect(effectsOf(emptySession, { type: 'cancel', event: 'bid', auctionId: '1' })).toEqual(['reply'])
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
        let session = emptySession
        const held = new Map<string, number>()
        const perform = (effects: ReturnType<typeof leave>) => {
          for (const effect of effects) {
            if (effect.type !== 'subscribe' && effect.type !== 'unsubscribe') continue
            const key = JSON.stringify(effect.subscription)
            held.set(key, (held.get(key) ?? 0) + (effect.type === 'subscribe' ? 1 : -1))
          }
        }
        for (const each of commands) {
          const [next, effects] = step(session, each as Command, { subscriptionsMax: 100 })
          session = next
          perform(effects)
          const now = [...held].filter(([, count]) => count !== 0)
          expect(new Map(now)).toEqual(new Map(session.subscriptions.map((one) => [JSON.stringify(one), 1])))
        }
        perform(leave(session))
        expect([...held.values()].every((count) => count === 0)).toBe(true)
      }),
    )
  })
})
