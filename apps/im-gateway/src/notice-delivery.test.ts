import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  type Notice,
  type NoticeCommand,
  type NoticeDelivery,
  type NoticeEffect,
  noNotices,
  step,
} from './notice-delivery.ts'

const limits = { noticesInFlightMax: 20, noticeRedeliveryMs: 10_000 }
const notice = (number: number, once = false, convId = 'c'): Notice => ({
  id: `n${number}`,
  convId,
  bytes: new Uint8Array(),
  once,
})
const range = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => notice(first + i))

/** A device's delivery with its clock. */
class Device {
  state: NoticeDelivery = noNotices
  nowMs = 0

  do(command: NoticeCommand): readonly NoticeEffect[] {
    const [next, effects] = step(this.state, command, this.nowMs, limits)
    this.state = next
    return effects
  }
}
const numberOf = (id: string) => Number(id.slice(1))
const idsOf = (effects: readonly NoticeEffect[]) =>
  effects.flatMap((effect) => (effect.type === 'send' ? effect.notices.map(({ id }) => id) : []))
const typesOf = (effects: readonly NoticeEffect[]) => effects.map(({ type }) => type)

test('what is pending is sent at the connect, and again until it is acknowledged', () => {
  const device = new Device()
  expect(device.do({ type: 'connected' })).toEqual([{ type: 'load' }])
  const first = device.do({ type: 'loaded', notices: range(1, 2), more: false })
  expect(idsOf(first)).toEqual(['n1', 'n2'])
  expect(first.at(-1)).toEqual({ type: 'wait', delayMs: 10_000 })
  device.nowMs = 10_000
  expect(device.do({ type: 'due' })).toEqual([{ type: 'load' }])
  expect(idsOf(device.do({ type: 'loaded', notices: range(1, 2), more: false }))).toEqual(['n1', 'n2'])
  device.do({ type: 'acked', id: 'n2', convId: 'c' })
  device.nowMs = 20_000
  expect(device.do({ type: 'due' })).toEqual([])
})

test('a notice that was sent a moment ago waits for its own time', () => {
  const device = new Device()
  device.do({ type: 'pushed', notices: [notice(1)] })
  device.nowMs = 9_000
  device.do({ type: 'pushed', notices: [notice(2)] })
  device.nowMs = 10_000
  device.do({ type: 'due' })
  const effects = device.do({ type: 'loaded', notices: range(1, 2), more: false })
  expect(idsOf(effects)).toEqual(['n1'])
  expect(effects.at(-1)).toEqual({ type: 'wait', delayMs: 9_000 })
})

test('twenty are in flight; acknowledgements make room for the next ones, in order', () => {
  const device = new Device()
  device.do({ type: 'connected' })
  expect(idsOf(device.do({ type: 'loaded', notices: range(1, 20), more: true }))).toHaveLength(20)
  expect(device.do({ type: 'pushed', notices: [notice(30)] })).toEqual([])
  expect(device.do({ type: 'acked', id: 'n9', convId: 'c' })).toEqual([])
  expect(device.do({ type: 'acked', id: 'n10', convId: 'c' })).toEqual([{ type: 'load' }])
  const next = device.do({ type: 'loaded', notices: range(11, 30), more: false })
  expect(idsOf(next)).toEqual(range(21, 30).map(({ id }) => id))
  expect(device.state.inFlight.size).toBe(20)
})

test('a new notice does not overtake those that are being asked for', () => {
  const device = new Device()
  device.do({ type: 'connected' })
  expect(device.do({ type: 'pushed', notices: [notice(3)] })).toEqual([])
  const effects = device.do({ type: 'loaded', notices: range(1, 2), more: false })
  expect(typesOf(effects)).toEqual(['send', 'wait', 'load'])
  expect(idsOf(device.do({ type: 'loaded', notices: range(1, 3), more: false }))).toEqual(['n3'])
})

test('what was acknowledged while the store was being asked is not sent again', () => {
  const device = new Device()
  device.do({ type: 'pushed', notices: range(1, 3) })
  device.nowMs = 10_000
  device.do({ type: 'due' })
  device.do({ type: 'acked', id: 'n2', convId: 'c' })
  expect(idsOf(device.do({ type: 'loaded', notices: range(1, 3), more: false }))).toEqual(['n3'])
})

test('an acknowledgement stands for its own channel alone', () => {
  const device = new Device()
  const notices = [notice(1), notice(2, false, 'other'), notice(3), notice(4, false, 'other')]
  device.do({ type: 'pushed', notices })
  device.do({ type: 'acked', id: 'n3', convId: 'c' })
  expect([...device.state.inFlight.keys()]).toEqual(['n2', 'n4'])
  // Of another channel than it says, and of nobody: nothing happens.
  device.do({ type: 'acked', id: 'n4', convId: 'c' })
  device.do({ type: 'acked', id: 'n9', convId: 'other' })
  expect(device.state.inFlight.size).toBe(2)
  device.nowMs = 10_000
  device.do({ type: 'due' })
  device.do({ type: 'acked', id: 'n2', convId: 'other' })
  const loaded = device.do({ type: 'loaded', notices: [notices[1], notices[3]] as Notice[], more: false })
  expect(idsOf(loaded)).toEqual(['n4'])
})

test('onlinePushOnce is sent at once and forgotten', () => {
  const device = new Device()
  device.do({ type: 'connected' })
  expect(idsOf(device.do({ type: 'pushed', notices: [notice(1, true)] }))).toEqual(['n1'])
  expect(device.state.inFlight.size).toBe(0)
})

test('a store that cannot be asked is asked again', () => {
  const device = new Device()
  device.do({ type: 'connected' })
  expect(device.do({ type: 'load_failed' })).toEqual([{ type: 'wait', delayMs: 10_000 }])
  device.nowMs = 10_000
  expect(device.do({ type: 'due' })).toEqual([{ type: 'load' }])
})

describe('whatever happens', () => {
  const command = fc.oneof(
    fc.record({ type: fc.constant('push' as const), count: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ type: fc.constant('ack' as const), back: fc.integer({ min: 0, max: 25 }) }),
    fc.record({ type: fc.constant('answer' as const), fails: fc.boolean() }),
    fc.record({ type: fc.constant('time' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
  )

  test('never more than twenty in flight, in order, and all of them arrive', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const device = new Device()
        const store: Notice[] = []
        const received: string[] = []
        const positions = new Map<string, number>()
        const pending = () => store.filter(({ id, convId }) => numberOf(id) > (positions.get(convId) ?? 0))
        let asked: Notice[] | undefined
        let dueAtMs = Number.POSITIVE_INFINITY
        const perform = (effects: readonly NoticeEffect[]) => {
          for (const effect of effects) {
            if (effect.type === 'load') asked = pending()
            else if (effect.type === 'wait') dueAtMs = device.nowMs + effect.delayMs
            else received.push(...effect.notices.map(({ id }) => id))
          }
          expect(device.state.inFlight.size).toBeLessThanOrEqual(20)
        }
        const answer = (fails: boolean) => {
          if (asked === undefined) return
          const notices = asked.slice(0, 20)
          const more = asked.length > 20
          asked = undefined
          perform(device.do(fails ? { type: 'load_failed' } : { type: 'loaded', notices, more }))
        }
        const ack = (id: string) => {
          const convId = device.state.inFlight.get(id)?.convId as string
          positions.set(convId, Math.max(positions.get(convId) ?? 0, numberOf(id)))
          perform(device.do({ type: 'acked', id, convId }))
        }
        const pass = (ms: number) => {
          device.nowMs += ms
          if (dueAtMs > device.nowMs) return
          dueAtMs = Number.POSITIVE_INFINITY
          perform(device.do({ type: 'due' }))
        }
        perform(device.do({ type: 'connected' }))
        for (const each of commands) {
          if (each.type === 'push') {
            const notices = Array.from({ length: each.count }, (_, i) =>
              notice(store.length + 1 + i, false, (store.length + i) % 3 ? 'c' : 'other'),
            )
            store.push(...notices)
            perform(device.do({ type: 'pushed', notices }))
          } else if (each.type === 'ack') {
            const last = [...device.state.inFlight.keys()].at(-1 - each.back)
            if (last !== undefined) ack(last)
          } else if (each.type === 'answer') answer(each.fails)
          else pass(each.ms)
        }
        // A client that acknowledges what it has, and a store that answers, come to an end.
        for (let round = 0; pending().length > 0 && round < 500; round++) {
          answer(false)
          const last = [...device.state.inFlight.keys()].at(-1)
          if (last !== undefined) ack(last)
          pass(10_000)
        }
        const firsts = received.filter((id, at) => received.indexOf(id) === at)
        for (const channel of ['c', 'other']) {
          const ids = store.filter(({ convId }) => convId === channel).map(({ id }) => id)
          expect(firsts.filter((id) => ids.includes(id))).toEqual(ids)
        }
      }),
      { numRuns: 300 },
    )
  })
})
