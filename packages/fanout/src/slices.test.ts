import { describe, expect, test } from '@jest/globals'
import { createCounters } from './counters.ts'
import { Outbox, type OverflowPolicy } from './outbox.ts'
import { Topics, type TopicsOptions } from './topics.ts'

/** Topics with slices of two deliveries, and a loop that is turned by hand. */
function setUp(options: Partial<TopicsOptions> = {}) {
  const scheduled: (() => void)[] = []
  const delivered: number[] = []
  const schedule = (callback: () => void) => void scheduled.push(callback)
  const topics = new Topics({
    policy: 'disconnect',
    sliceMax: 2,
    schedule,
    onFlushed: (published) => delivered.push(...published),
    ...options,
  })
  const counters = createCounters()
  /** Subscribers of these topics, each with the list of its writes. */
  const subscribers = (count: number, ...names: string[]) =>
    Array.from({ length: count }, () => {
      const writes: string[] = []
      const outbox = new Outbox(
        {
          bufferedBytes: 0,
          writable: true,
          write: (bytes) => void writes.push(Buffer.from(bytes).toString()),
          onceDrained() {},
          slowConsumer() {},
        },
        counters,
        1_000,
      )
      for (const name of names) topics.subscribe(name, outbox)
      return { outbox, writes }
    })
  const turn = () => {
    for (const callback of scheduled.splice(0)) callback()
  }
  const turns = () => {
    let count = 0
    for (; scheduled.length > 0; count++) {
      if (count > 1_000) throw new Error('the turns do not end')
      turn()
    }
    return count
  }
  return { topics, counters, subscribers, turn, turns, scheduled, delivered }
}

const frame = (text: string) => Buffer.from(text)
const got = (clients: { writes: string[] }[]) => clients.map(({ writes }) => writes.join(''))

describe('a flush for many subscribers', () => {
  test('is delivered in slices, one for each turn', () => {
    const { topics, counters, subscribers, turn, turns } = setUp()
    const all = subscribers(7, 'a')
    topics.publish('a', frame('1'))
    for (const expected of [2, 4, 6, 7]) {
      turn()
      expect(counters.writes).toBe(expected)
    }
    expect(turns()).toBe(0)
    expect(got(all)).toEqual(Array(7).fill('1'))
  })

  test('lets a small topic have its turn', () => {
    const { topics, subscribers, turn } = setUp()
    const many = subscribers(9, 'a')
    const [few] = subscribers(1, 'b')
    topics.publish('a', frame('1'))
    turn()
    topics.publish('b', frame('2'))
    turn()
    expect(few?.writes).toEqual(['2'])
    expect(got(many).join('')).toHaveLength(4)
  })

  test('of small and large topics begins with the small ones', () => {
    const { topics, subscribers, turn } = setUp()
    subscribers(9, 'a')
    const [few] = subscribers(1, 'b')
    topics.publish('a', frame('1'))
    topics.publish('b', frame('2'))
    turn()
    expect(few?.writes).toEqual(['2'])
  })

  test('keeps the publish order for those who follow both', () => {
    const { topics, subscribers, turn, turns } = setUp()
    subscribers(9, 'a')
    const [both] = subscribers(1, 'a', 'b')
    topics.publish('a', frame('1'))
    turn()
    topics.publish('b', frame('2'))
    turn()
    expect(both?.writes).toEqual(['12'])
    turns()
    expect(both?.writes).toEqual(['12'])
  })

  test('starves nobody, though its topic is published to in every turn', () => {
    const { topics, subscribers, turn } = setUp()
    const all = subscribers(9, 'a')
    for (let i = 0; i < 20; i++) {
      topics.publish('a', frame('x'))
      turn()
    }
    const counts = all.map(({ writes }) => writes.length)
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(3)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  })

  test('is written together with what is published before its turn comes', () => {
    const { topics, subscribers, turn, turns } = setUp()
    const all = subscribers(5, 'a')
    topics.publish('a', frame('1'))
    turn()
    topics.publish('a', frame('2'))
    topics.publish('a', frame('3'))
    turns()
    expect(got(all)).toEqual(Array(5).fill('123'))
    expect(all.at(-1)?.writes).toEqual(['123'])
  })

  test('counts a subscriber of several topics once', () => {
    const { topics, subscribers, turn } = setUp({ sliceMax: 4 })
    const clients = [...subscribers(2, 'a', 'b'), ...subscribers(2, 'c')]
    for (const name of ['a', 'b', 'c']) topics.publish(name, frame(name))
    turn()
    expect(got(clients)).toEqual(['ab', 'ab', 'c', 'c'])
  })

  test('has everybody wait once, whatever comes meanwhile', () => {
    const { topics, subscribers, turn, turns } = setUp()
    subscribers(9, 'a')
    topics.publish('a', frame('1'))
    turn()
    for (const text of ['2', '3', '4']) {
      topics.publish('a', frame(text))
      topics.flush()
    }
    // Nine wait, of whom each turn serves two.
    expect(turns()).toBe(5)
  })

  test('shares its buffers', () => {
    const { topics, subscribers, turns } = setUp()
    const buffers = new Set<Uint8Array>()
    for (const { outbox } of subscribers(9, 'a', 'b')) {
      const deliver = outbox.deliver.bind(outbox)
      outbox.deliver = (batch, policy) => {
        buffers.add(batch.bytes)
        deliver(batch, policy)
      }
    }
    topics.publish('a', frame('1'))
    topics.publish('b', frame('2'))
    turns()
    expect(buffers.size).toBe(1)
  })

  test('is told as delivered when its last subscriber has it', () => {
    const { topics, subscribers, turn, delivered } = setUp()
    subscribers(5, 'a')
    subscribers(1, 'b')
    topics.publish('a', frame('1'), { publishedAtMs: 1 })
    turn()
    topics.publish('b', frame('2'), { publishedAtMs: 2 })
    turn()
    expect(delivered).toEqual([2])
    turn()
    expect(delivered).toEqual([2, 1])
  })

  test('is delivered at once when too much waits', () => {
    const { topics, subscribers, turn, turns } = setUp({ flushBytesMax: 3 })
    const all = subscribers(9, 'a')
    topics.publish('a', frame('12'))
    turn()
    topics.publish('a', frame('34'))
    expect(got(all)).toEqual(Array(9).fill('1234'))
    turns()
    topics.publish('a', frame('5'))
    turns()
    expect(got(all)).toEqual(Array(9).fill('12345'))
  })
})

describe('between two slices', () => {
  function underWay(policy: OverflowPolicy = 'disconnect') {
    const made = setUp({ policy })
    const clients = made.subscribers(9, 'a')
    made.topics.publish('a', frame('1'))
    made.turn()
    const last = clients.at(-1) as (typeof clients)[number]
    expect(last.writes).toEqual([])
    return { ...made, clients, last }
  }

  test('who subscribes gets what is published from now on', () => {
    const { topics, subscribers, turns } = underWay()
    const [late] = subscribers(1, 'a')
    topics.publish('a', frame('2'))
    turns()
    expect(late?.writes).toEqual(['2'])
  })

  test('who leaves gets what was published before, at once', () => {
    const { topics, last, turns } = underWay()
    topics.publish('a', frame('2'))
    topics.unsubscribe('a', last.outbox)
    topics.publish('a', frame('3'))
    expect(last.writes).toEqual(['12'])
    turns()
    expect(last.writes).toEqual(['12'])
  })

  test('who leaves and comes back misses only what was published meanwhile', () => {
    const { topics, last, turns } = underWay()
    topics.unsubscribe('a', last.outbox)
    topics.publish('a', frame('2'))
    topics.subscribe('a', last.outbox)
    topics.publish('a', frame('3'))
    turns()
    expect(last.writes.join('')).toBe('13')
  })

  test('who is closed gets nothing more', () => {
    const { last, turns } = underWay()
    last.outbox.close()
    turns()
    expect(last.writes).toEqual([])
  })

  test('an answer does not overtake what is undelivered', () => {
    const { last, turns } = underWay()
    last.outbox.send(frame('!'))
    turns()
    expect(last.writes).toEqual(['1', '!'])
  })

  test('nor does the newest message of a topic', () => {
    const { last, turns } = underWay('conflate')
    last.outbox.sendNewest('a', frame('1'))
    turns()
    expect(last.writes).toEqual(['1', '1'])
  })

  test('nor does a message that leaves out those who have it', () => {
    const { topics, last, turns } = underWay()
    topics.publish('a', frame('2'), { except: new Set() })
    turns()
    expect(last.writes.join('')).toBe('12')
  })

  test('nor do the topics of another owner', () => {
    const { last, turns, scheduled } = underWay()
    const others = new Topics({
      policy: 'drop',
      sliceMax: 1,
      schedule: (callback) => void scheduled.push(callback),
    })
    const [other] = setUp().subscribers(1)
    for (const outbox of [other?.outbox, last.outbox]) if (outbox) others.subscribe('b', outbox)
    others.publish('b', frame('2'))
    turns()
    expect(last.writes).toEqual(['1', '2'])
  })
})
