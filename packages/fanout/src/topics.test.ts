import { describe, expect, test } from '@jest/globals'
import { createCounters } from './counters.ts'
import { Outbox, type OverflowPolicy } from './outbox.ts'
import type { Sink } from './sink.ts'
import { Topics, type TopicsOptions } from './topics.ts'

/** A socket in memory: takes `room` bytes at a time, then waits to be drained. */
class MemorySink implements Sink {
  readonly writes: string[] = []
  slow = false
  #room: number
  #buffered = 0
  #waiting: (() => void)[] = []

  constructor(room = Number.POSITIVE_INFINITY) {
    this.#room = room
  }

  get bufferedBytes() {
    return this.#buffered
  }

  get writable() {
    return this.#buffered < this.#room
  }

  write(bytes: Uint8Array) {
    this.writes.push(Buffer.from(bytes).toString())
    if (this.#room !== Number.POSITIVE_INFINITY) this.#buffered += bytes.length
  }

  onceDrained(callback: () => void) {
    this.#waiting.push(callback)
  }

  slowConsumer() {
    this.slow = true
  }

  drain() {
    this.#buffered = 0
    for (const callback of this.#waiting.splice(0)) callback()
  }
}

function setUp(
  policy: OverflowPolicy = 'disconnect',
  room?: number,
  bytesMax = 10,
  options: Partial<TopicsOptions> = {},
) {
  const flushes: (() => void)[] = []
  const topics = new Topics({ policy, schedule: (flush) => flushes.push(flush), ...options })
  const counters = createCounters()
  const subscriber = () => {
    const sink = new MemorySink(room)
    return { sink, outbox: new Outbox(sink, counters, bytesMax) }
  }
  /** One turn of the event loop. */
  const turn = () => {
    for (const flush of flushes.splice(0)) flush()
  }
  const tick = () => {
    while (flushes.length > 0) turn()
  }
  return { topics, counters, subscriber, turn, tick, flushes }
}

const frame = (text: string) => Buffer.from(text)

describe('one tick', () => {
  test('is one write for each socket, in publish order over all topics', () => {
    const { topics, subscriber, tick, counters } = setUp()
    const [both, first] = [subscriber(), subscriber()]
    topics.subscribe('a', both.outbox)
    topics.subscribe('b', both.outbox)
    topics.subscribe('a', first.outbox)
    for (const [topic, text] of ['a1', 'b1', 'a2', 'b2'].map((each) => [each[0] as string, each])) {
      topics.publish(topic as string, frame(text as string))
    }
    expect(both.sink.writes).toEqual([])
    tick()
    expect(both.sink.writes).toEqual(['a1b1a2b2'])
    expect(first.sink.writes).toEqual(['a1a2'])
    expect(counters).toMatchObject({ deliveries: 6, writes: 2, bytes: 12 })
  })

  test('schedules nothing while nobody publishes or subscribes', () => {
    const { topics, flushes } = setUp()
    topics.publish('a', frame('x'))
    expect(flushes).toEqual([])
  })

  test('does not show a new subscriber what was published before, nor hide it from one that leaves', () => {
    const { topics, subscriber, tick } = setUp()
    const [early, late] = [subscriber(), subscriber()]
    topics.subscribe('a', early.outbox)
    topics.publish('a', frame('1'))
    topics.subscribe('a', late.outbox)
    topics.publish('a', frame('2'))
    topics.unsubscribe('a', early.outbox)
    topics.publish('a', frame('3'))
    tick()
    expect(early.sink.writes.join('')).toBe('12')
    expect(late.sink.writes.join('')).toBe('23')
  })

  test('shares one buffer among the subscribers of the same topics', () => {
    const { topics, tick } = setUp()
    const buffers: Uint8Array[] = []
    for (let i = 0; i < 3; i++) {
      const sink = new MemorySink()
      sink.write = (bytes) => void buffers.push(bytes)
      const outbox = new Outbox(sink, createCounters(), 10)
      topics.subscribe('a', outbox)
      topics.subscribe('b', outbox)
    }
    topics.publish('a', frame('1'))
    topics.publish('b', frame('2'))
    tick()
    expect(buffers).toHaveLength(3)
    expect(new Set(buffers).size).toBe(1)
  })

  test('a message may leave out those who have it, and keeps its place', () => {
    const { topics, subscriber, tick } = setUp()
    const [has, lacks] = [subscriber(), subscriber()]
    for (const { outbox } of [has, lacks]) topics.subscribe('a', outbox)
    topics.publish('a', frame('1'))
    topics.publish('a', frame('2'), { except: new Set([has.outbox]) })
    topics.publish('a', frame('3'))
    tick()
    expect(has.sink.writes.join('')).toBe('13')
    expect(lacks.sink.writes.join('')).toBe('123')
  })

  test('that carries too much is flushed early', () => {
    const topics = new Topics({ policy: 'drop', flushBytesMax: 3, schedule: () => {} })
    const sink = new MemorySink()
    topics.subscribe('a', new Outbox(sink, createCounters(), 10))
    topics.publish('a', frame('12'))
    topics.publish('a', frame('34'))
    expect(sink.writes).toEqual(['1234'])
  })
})

describe('a socket that is full', () => {
  test('disconnect: is closed as a slow consumer, once, and gets nothing more', () => {
    const { topics, subscriber, tick, counters } = setUp('disconnect', 1, 10)
    const { sink, outbox } = subscriber()
    topics.subscribe('a', outbox)
    for (let i = 0; i < 5; i++) {
      topics.publish('a', frame('12345'))
      tick()
    }
    expect(sink.writes).toEqual(['12345', '12345'])
    expect(sink.slow).toBe(true)
    expect(counters.slowConsumers).toBe(1)
  })

  test('drop: misses what does not fit', () => {
    const { topics, subscriber, tick, counters } = setUp('drop', 1, 5)
    const { sink, outbox } = subscriber()
    topics.subscribe('a', outbox)
    for (const text of ['11111', '22222', '33333']) {
      topics.publish('a', frame(text))
      tick()
      if (text === '22222') sink.drain()
    }
    expect(sink.writes).toEqual(['11111', '33333'])
    expect(counters.dropped).toBe(1)
  })

  test('conflate: gets the newest of each topic when it can take more', () => {
    const { topics, subscriber, tick, counters } = setUp('conflate', 1)
    const { sink, outbox } = subscriber()
    for (const topic of ['a', 'b', 'c']) topics.subscribe(topic, outbox)
    for (const text of ['a1', 'b1', 'a2', 'c1', 'b2', 'b3']) {
      topics.publish(text[0] as string, frame(text))
      tick()
    }
    expect(sink.writes).toEqual(['a1'])
    expect(outbox.queuedBytes).toBe(8)
    for (let i = 0; i < 4; i++) sink.drain()
    expect(sink.writes).toEqual(['a1', 'a2', 'c1', 'b3'])
    expect(counters.conflated).toBe(2)
    topics.publish('a', frame('a3'))
    sink.drain()
    tick()
    expect(sink.writes.at(-1)).toBe('a3')
  })

  test('a message larger than the bound reaches an empty socket', () => {
    const { topics, subscriber, tick } = setUp('disconnect', 100, 2)
    const { sink, outbox } = subscriber()
    topics.subscribe('a', outbox)
    topics.publish('a', frame('12345'))
    tick()
    expect(sink.writes).toEqual(['12345'])
  })
})

describe('10,000 sockets that nobody reads', () => {
  const MESSAGE_BYTES = 100
  const BYTES_MAX = 1_000
  const publishTo = (policy: OverflowPolicy) => {
    const { topics, counters, tick } = setUp(policy)
    const sockets = Array.from({ length: 10_000 }, () => {
      const sink = new MemorySink(1)
      const outbox = new Outbox(sink, counters, BYTES_MAX)
      topics.subscribe('a', outbox)
      topics.subscribe('b', outbox)
      return { sink, outbox }
    })
    for (let i = 0; i < 50; i++) {
      topics.publish('a', Buffer.alloc(MESSAGE_BYTES))
      topics.publish('b', Buffer.alloc(MESSAGE_BYTES))
      tick()
    }
    return { sockets, counters }
  }

  test('disconnect: each is closed once, with no more than the bound waiting', () => {
    const { sockets, counters } = publishTo('disconnect')
    expect(counters.slowConsumers).toBe(10_000)
    expect(sockets.every(({ sink }) => sink.slow && sink.bufferedBytes <= BYTES_MAX)).toBe(true)
  })

  test('drop: each keeps what fits', () => {
    const { sockets } = publishTo('drop')
    expect(sockets.every(({ sink }) => !sink.slow && sink.bufferedBytes <= BYTES_MAX)).toBe(true)
  })

  test('conflate: each keeps one message of each topic besides what is in the socket', () => {
    const { sockets } = publishTo('conflate')
    expect(sockets.every(({ outbox }) => outbox.queuedBytes === 4 * MESSAGE_BYTES)).toBe(true)
  })
})

test('a paused outbox holds the newest of each topic back, and forgets what it shall', () => {
  const { topics, subscriber, tick } = setUp('conflate')
  const { sink, outbox } = subscriber()
  for (const topic of ['a', 'b']) topics.subscribe(topic, outbox)
  outbox.pause()
  for (const text of ['a1', 'b1', 'a2']) topics.publish(text[0] as string, frame(text))
  tick()
  outbox.sendNewest('c', frame('c1'))
  outbox.forget('b')
  expect(sink.writes).toEqual([])
  outbox.resume()
  expect(sink.writes).toEqual(['a2', 'c1'])
  topics.publish('b', frame('b2'))
  tick()
  expect(sink.writes.at(-1)).toBe('b2')
})
