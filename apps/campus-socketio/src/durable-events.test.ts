import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  type DurableEvents,
  expiryOf,
  nextDueMs,
  noDurableEvents,
  offer,
  parseExpiry,
  rejected,
  settle,
  takeDue,
} from './durable-events.ts'

const limits = { ackTimeoutMs: 10_000, backOffMsMax: 60_000, inFlightBytesMax: 1_000 }
const stored = (event: string, sequence: number, more: { bytes?: number; expiresAtMs?: number } = {}) => ({
  event,
  sequence,
  body: new Uint8Array(more.bytes ?? 10),
  publishedAtMs: 0,
  expiresAtMs: more.expiresAtMs ?? Number.POSITIVE_INFINITY,
})
const offerAll = (...events: ReturnType<typeof stored>[]) =>
  events.reduce<DurableEvents>((all, each) => offer(all, each, 0), noDurableEvents)
const take = (events: DurableEvents, monotonicMs = 0, epochMs = 0) => {
  const taken = takeDue(events, { monotonicMs, epochMs }, limits)
  return { ...taken, names: taken.send.map(({ event, sequence }) => `${event}${sequence}`) }
}

test('the newest of each name, in the order of publishing', () => {
  const events = offerAll(stored('b', 2), stored('a', 1), stored('c', 3), stored('a', 4))
  expect(take(events).names).toEqual(['b2', 'c3', 'a4'])
})

test('what came twice is sent once; what is older is not sent at all', () => {
  const { events, names } = take(offerAll(stored('a', 4), stored('a', 4), stored('a', 3)))
  expect(names).toEqual(['a4'])
  expect(take(offer(events, stored('a', 4), 1), 1).names).toEqual([])
})

test('an acknowledged event is never sent again, not even when the wire brings it late', () => {
  const events = settle(take(offerAll(stored('a', 1))).events, 'a', 1)
  expect(take(offer(events, stored('a', 1), 5), 5).names).toEqual([])
  expect(nextDueMs(events, 5)).toBeUndefined()
})

test('the acknowledgement of an event does not settle a newer one', () => {
  const events = offer(take(offerAll(stored('a', 1))).events, stored('a', 2), 5)
  expect(take(settle(events, 'a', 1), 5).names).toEqual(['a2'])
})

test('sent again after the time for its acknowledgement, then ever later', () => {
  let events = offerAll(stored('a', 1))
  const sentAt: number[] = []
  for (let now = 0; now <= 300_000; now += 1_000) {
    const taken = take(events, now)
    events = taken.events
    if (taken.send.length > 0) sentAt.push(now)
  }
  expect(sentAt).toEqual([0, 10_000, 30_000, 70_000, 130_000, 190_000, 250_000])
})

test('an expired event is not sent, and is reported once', () => {
  const taken = take(offerAll(stored('a', 1, { expiresAtMs: 100 }), stored('b', 2)), 0, 100)
  expect(taken.names).toEqual(['b2'])
  expect(taken.expired).toHaveLength(1)
  expect(take(taken.events, 20_000, 100).expired).toHaveLength(0)
})

test('no more than so many bytes wait for acknowledgements, and a large one goes alone', () => {
  const taken = take(offerAll(stored('a', 1, { bytes: 5_000 }), stored('b', 2), stored('c', 3)))
  expect(taken.names).toEqual(['a1'])
  const next = take(settle(taken.events, 'a', 1))
  expect(next.names).toEqual(['b2', 'c3'])
})

describe('an event that the device never acknowledges does not keep others from it', () => {
  const both = () => offerAll(stored('a', 1, { bytes: 700 }), stored('b', 2, { bytes: 700 }))

  test('where it is not answered, for longer than the time for an answer', () => {
    let events = both()
    const sentAt: string[] = []
    for (let now = 0; now <= 70_000; now = nextDueMs(events, now) ?? Number.POSITIVE_INFINITY) {
      const taken = take(events, now)
      events = taken.events
      for (const name of taken.names) {
        sentAt.push(`${name} ${now}`)
        if (name === 'b2') events = settle(events, 'b', 2)
      }
    }
    expect(sentAt).toEqual(['a1 0', 'a1 10000', 'b2 20000', 'a1 30000', 'a1 70000'])
  })

  test('where it is rejected, from then on', () => {
    const { events, names } = take(both())
    expect(names).toEqual(['a1'])
    expect(take(rejected(events, 'a', 1, 5), 5).names).toEqual(['b2'])
    expect(take(rejected(events, 'a', 7, 5), 5).names).toEqual([])
  })
})

test('whatever happens in whatever order, what is sent is the newest offered and not settled', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const action = fc.oneof(
    fc.record({
      type: fc.constant('offer' as const),
      event: name,
      sequence: fc.integer({ min: 1, max: 30 }),
    }),
    fc.record({
      type: fc.constant('settle' as const),
      event: name,
      sequence: fc.integer({ min: 1, max: 30 }),
    }),
    fc.record({ type: fc.constant('take' as const), event: name, sequence: fc.constant(0) }),
  )
  fc.assert(
    fc.property(fc.array(action), (actions) => {
      let events = noDurableEvents
      let now = 0
      const newest = new Map<string, number>()
      const settled = new Set<string>()
      for (const { type, event, sequence } of actions) {
        now += 100_000
        if (type === 'offer') {
          events = offer(events, stored(event, sequence), now)
          newest.set(event, Math.max(newest.get(event) ?? 0, sequence))
        } else if (type === 'settle') {
          events = settle(events, event, sequence)
          settled.add(`${event}${sequence}`)
        } else {
          const taken = take(events, now)
          events = taken.events
          for (const each of taken.names) expect(settled.has(each)).toBe(false)
          expect(taken.send.map((each) => each.sequence)).toEqual(
            taken.send.map((each) => each.sequence).sort((a, b) => a - b),
          )
          for (const each of taken.send)
            expect(each.sequence).toBeLessThanOrEqual(newest.get(each.event) as number)
        }
      }
    }),
  )
})

describe('expiry', () => {
  const ended = '2016-10-25T18:15:17+08:00'
  const endedMs = Date.UTC(2016, 9, 25, 10, 15, 17)
  test.each([
    [ended, endedMs],
    ['2016-10-25T10:15:17.123456789Z', endedMs + 123],
    ['1477390517000', 1_477_390_517_000],
    ['2016-10-25 18:15:17', undefined],
    ['tomorrow', undefined],
    ['', undefined],
    [1, undefined],
    [undefined, undefined],
  ])('%s is %s', (text, expected) => {
    expect(parseExpiry(text)).toBe(expected)
  })

  test('the header before the body, the body before the age, and never after it', () => {
    const published = endedMs - 1_000
    expect(expiryOf(undefined, {}, published, 7)).toBe(published + 7)
    expect(expiryOf(undefined, { ended_at: ended }, published, 5_000)).toBe(endedMs)
    expect(expiryOf(String(published + 3), { ended_at: ended }, published, 5_000)).toBe(published + 3)
    expect(expiryOf('soon', { ended_at: 'later' }, published, 7)).toBe(published + 7)
    expect(expiryOf(undefined, { ended_at: ended }, published, 7)).toBe(published + 7)
  })
})
