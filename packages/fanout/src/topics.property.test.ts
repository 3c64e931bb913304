import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createCounters } from './counters.ts'
import { Outbox, type OverflowPolicy } from './outbox.ts'
import type { Sink } from './sink.ts'
import { Topics } from './topics.ts'

const BYTES_MAX = 12
const FRAME_BYTES = 4

/** A socket that takes everything, or nothing while it is blocked. */
class Socket implements Sink {
  readonly received: number[] = []
  blocked = false
  slow = false
  closed = false
  bufferedMax = 0
  #buffered: number[] = []
  #drained: (() => void)[] = []

  get bufferedBytes() {
    return this.#buffered.length * FRAME_BYTES
  }

  get writable() {
    return !this.blocked && this.#buffered.length === 0
  }

  write(bytes: Uint8Array) {
    const view = Buffer.from(bytes)
    for (let at = 0; at < view.length; at += FRAME_BYTES) {
      const target = this.blocked ? this.#buffered : this.received
      target.push(view.readUInt32BE(at))
    }
    this.bufferedMax = Math.max(this.bufferedMax, this.bufferedBytes)
  }

  onceDrained(callback: () => void) {
    this.#drained.push(callback)
  }

  slowConsumer() {
    this.slow = true
  }

  drain() {
    this.blocked = false
    this.received.push(...this.#buffered)
    this.#buffered = []
    for (const callback of this.#drained.splice(0)) callback()
  }
}

type Action =
  | { type: 'subscribe' | 'unsubscribe'; who: number; topic: number }
  | { type: 'publish'; topic: number }
  | { type: 'block' | 'drain' | 'close'; who: number }
  | { type: 'tick' }

/** Of four clients: one delivery for each turn of the loop, or some, or all. */
const slice = fc.integer({ min: 1, max: 5 })
const who = fc.nat(3)
const topic = fc.nat(2)
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('subscribe' as const), who, topic }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('unsubscribe' as const), who, topic }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('publish' as const), topic }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('block' as const, 'drain' as const), who }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('close' as const), who }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('tick' as const) }) },
)

/** Runs the actions and answers what each socket should have got, and what it got. */
function run(policy: OverflowPolicy, actions: readonly Action[], sliceMax: number) {
  const scheduled: (() => void)[] = []
  const topics = new Topics({ policy, sliceMax, schedule: (callback) => void scheduled.push(callback) })
  const clients = Array.from({ length: 4 }, () => {
    const socket = new Socket()
    return {
      socket,
      outbox: new Outbox(socket, createCounters(), BYTES_MAX),
      follows: new Set<number>(),
      expected: [] as { topic: number; message: number }[],
    }
  })
  let message = 0
  const tick = () => {
    for (const callback of scheduled.splice(0)) callback()
  }
  for (const each of actions) {
    const client = 'who' in each ? clients[each.who] : undefined
    if (client?.socket.closed) continue
    if (each.type === 'subscribe' && client) {
      topics.subscribe(String(each.topic), client.outbox)
      client.follows.add(each.topic)
    } else if (each.type === 'unsubscribe' && client) {
      topics.unsubscribe(String(each.topic), client.outbox)
      client.follows.delete(each.topic)
    } else if (each.type === 'publish') {
      const bytes = Buffer.alloc(FRAME_BYTES)
      bytes.writeUInt32BE(++message)
      topics.publish(String(each.topic), bytes)
      for (const { follows, expected, socket } of clients) {
        if (follows.has(each.topic) && !socket.closed) expected.push({ topic: each.topic, message })
      }
    } else if (each.type === 'block' && client) client.socket.blocked = true
    else if (each.type === 'drain') client?.socket.drain()
    else if (each.type === 'close' && client) {
      tick()
      client.socket.closed = true
      client.outbox.close()
      for (const followed of client.follows) topics.unsubscribe(String(followed), client.outbox)
      client.follows.clear()
    } else if (each.type === 'tick') tick()
  }
  while (scheduled.length > 0) tick()
  for (const { socket } of clients) if (!socket.closed) socket.drain()
  return clients
}

const isPrefix = (part: readonly number[], whole: readonly number[]) =>
  part.every((each, i) => each === whole[i])

test('disconnect: every message of its topics in order, or an honest close', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), slice, (actions, sliceMax) => {
      for (const { socket, expected } of run('disconnect', actions, sliceMax)) {
        const wanted = expected.map(({ message }) => message)
        if (socket.closed || socket.slow) expect(isPrefix(socket.received, wanted)).toBe(true)
        else expect(socket.received).toEqual(wanted)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('drop: messages of its topics in order, none made up, and all of them for who was never blocked', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), slice, (actions, sliceMax) => {
      for (const [i, { socket, expected }] of run('drop', actions, sliceMax).entries()) {
        const wanted = expected.map(({ message }) => message)
        expect(socket.received).toEqual(wanted.filter((message) => socket.received.includes(message)))
        const everBlocked = actions.some((each) => each.type === 'block' && each.who === i)
        if (!everBlocked && !socket.closed) expect(socket.received).toEqual(wanted)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('conflate: the newest of each topic arrives, never an older one after a newer', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), slice, (actions, sliceMax) => {
      for (const { socket, expected } of run('conflate', actions, sliceMax)) {
        if (socket.closed) continue
        const topicOf = new Map(expected.map(({ topic, message }) => [message, topic]))
        const seen = new Map<number, number>()
        for (const message of socket.received) {
          const of = topicOf.get(message) as number
          expect(message).toBeGreaterThan(seen.get(of) ?? 0)
          seen.set(of, message)
        }
        const newest = new Map(expected.map(({ topic, message }) => [topic, message]))
        expect(seen).toEqual(newest)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('what waits for a blocked socket stays within the bound, plus one flush', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), slice, (actions, sliceMax) => {
      const perFlush = actions.filter((each) => each.type === 'publish').length * FRAME_BYTES
      for (const { socket } of run('disconnect', actions, sliceMax)) {
        expect(socket.bufferedMax).toBeLessThanOrEqual(Math.max(BYTES_MAX, perFlush))
      }
    }),
  )
})
