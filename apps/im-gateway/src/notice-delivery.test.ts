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
const notice = (number: number, once = false): Notice => ({ id: `n${number}`, bytes: new Uint8Array(), once })
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
  device.do({ type: 'acked', id: 'n2' })
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
  expect(device.do({ type: 'acked', id: 'n9' })).toEqual([])
  expect(device.do({ type: 'acked', id: 'n10' })).toEqual([{ type: 'load' }])
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
  device.do({ type: 'acked', id: 'n2' })
  expect(idsOf(device.do({ type: 'loaded', notices: range(1, 3), more: false }))).toEqual(['n3'])
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
        let acked = 0
        let asked: number | undefined
        let dueAtMs = Number.POSITIVE_INFINITY
        const perform = (effects: readonly NoticeEffect[]) => {
          for (const effect of effects) {
            if (effect.type === 'load') asked = acked
            else if (effect.type === 'wait') dueAtMs = device.nowMs + effect.delayMs
            else received.push(...effect.notices.map(({ id }) => id))
          }
          expect(device.state.inFlight.size).toBeLessThanOrEqual(20)
        }
        const answer = (fails: boolean) => {
          if (asked === undefined) return
          const from = asked
          asked = undefined
          const notices = store.slice(from, from + 20)
          const more = store.length > from + 20
          perform(device.do(fails ? { type: 'load_failed' } : { type: 'loaded', notices, more }))
        }
        const ack = (number: number) => {
          acked = Math.max(acked, number)
          perform(device.do({ type: 'acked', id: `n${number}` }))
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
            const notices = range(store.length + 1, store.length + each.count)
            store.push(...notices)
            perform(device.do({ type: 'pushed', notices }))
          } else if (each.type === 'ack') {
            const last = [...device.state.inFlight.keys()].at(-1 - each.back)
            if (last !== undefined) ack(Number(last.slice(1)))
          } else if (each.type === 'answer') answer(each.fails)
          else pass(each.ms)
        }
        // A client that acknowledges what it has, and a store that answers, come to an end.
        for (let round = 0; acked < store.length && round < 500; round++) {
          answer(false)
          const last = [...device.state.inFlight.keys()].at(-1)
          if (last !== undefined) ack(Number(last.slice(1)))
          pass(10_000)
        }
        const firsts = received.filter((id, at) => received.indexOf(id) === at)
        expect(firsts).toEqual(store.map(({ id }) => id))
      }),
      { numRuns: 300 },
    )
  })
})
