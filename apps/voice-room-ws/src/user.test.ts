import type { VoiceVersion } from '@carillon/events'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  channelsOf,
  connect,
  endCall,
  enter,
  evict,
  exit,
  isIdle,
  leave,
  newUser,
  sit,
  stand,
  startCall,
  type UserRecord,
  unseat,
  withoutEviction,
} from './user.ts'

const at = (sequence: number): VoiceVersion => ({ epoch: 1, sequence })
const absent = { graceMs: 20_000, nowMs: 5 }
const session = { lease: 'one', connection: 'c1', at: 1 }
const apply = (record: UserRecord, next: UserRecord | undefined) => next ?? record
const connected = apply(newUser('A'), connect(newUser('A'), session))
const inRoom = enter(connected, 'r', 7, at(1), absent) as UserRecord
const seated = sit(inRoom, 'r', 7, { id: 3, status: 1 }, at(2), absent) as UserRecord

describe('connections', () => {
  test('the newest is the user’s; the older one’s end changes nothing', () => {
    const newer = connect(inRoom, { ...session, connection: 'c2' }) as UserRecord
    expect(leave(newer, session, 'closed', 0, 1)).toBeUndefined()
    expect(leave(newer, { lease: 'two', connection: 'c2' }, 'closed', 0, 1)).toBeUndefined()
    expect(connect(newer, { ...session, connection: 'c2', at: 9 })).toBeUndefined()
  })

  test('who leaves with a grace is absent, and present again after coming back', () => {
    const away = leave(inRoom, session, 'closed', 1_000, 9) as UserRecord
    expect(away).toMatchObject({ session: null, absence: { reason: 'closed', grace_ms: 1_000, at: 9 } })
    expect(connect(away, { ...session, lease: 'two' })).toMatchObject({
      absence: null,
      room: { channel_name: 'r' },
    })
    expect(isIdle(leave(connected, session, 'closed', 1_000, 9) as UserRecord)).toBe(true)
  })
})

describe('eviction', () => {
  const evicted = evict(seated, 'closed', at(9), 42, 1_000) as UserRecord

  test('takes the user out of room and seat, and says what is to be told', () => {
    expect(evicted).toMatchObject({ session: null, room: null, call: null, room_version: at(9) })
    expect(evicted.eviction).toMatchObject({
      id: '42-1000',
      notice_user_id: 7,
      event: {
        user_id: 'A',
        channel_name: 'r',
        room_seat: { id: 3, status: 1 },
        call: null,
        reason: 'closed',
        at: 1_000,
      },
    })
  })

  test('happens once, and not to somebody who is nowhere', () => {
    expect(evict(evicted, 'closed', at(10), 43, 1_001)).toBeUndefined()
    expect(evict(connected, 'closed', at(10), 43, 1_001)).toBeUndefined()
  })

  test('what was published before does not bring the user back; what is published after does', () => {
    for (const sequence of [1, 2, 9]) {
      expect(enter(evicted, 'r', 7, at(sequence), absent)).toBeUndefined()
      expect(sit(evicted, 'r', 7, { id: 3 }, at(sequence), absent)).toBeUndefined()
    }
    expect(enter(evicted, 'r', 7, at(10), absent)).toMatchObject({
      room: { channel_name: 'r' },
      absence: { reason: 'heartbeat_timeout', grace_ms: 20_000 },
      eviction: { id: '42-1000' },
    })
  })

  test('the next one waits until this one is told', () => {
    const back = enter(apply(evicted, connect(evicted, session)), 'r', 7, at(10), absent) as UserRecord
    expect(evict(back, 'closed', at(11), 44, 1_002)).toBeUndefined()
    expect(withoutEviction(back, 'another')).toBeUndefined()
    const told = withoutEviction(back, '42-1000') as UserRecord
    expect(evict(told, 'closed', at(11), 45, 1_003)?.eviction?.id).toBe('45-1003')
  })
})

describe('events in any order', () => {
  const step = (record: UserRecord, [kind, channel, sequence]: readonly [string, string, number]) =>
    apply(
      record,
      kind === 'enter'
        ? enter(record, channel, 7, at(sequence), absent)
        : exit(record, channel, at(sequence)),
    )

  test('entries and exits end as if they had come in the order of the stream', () => {
    const events = fc.uniqueArray(
      fc.tuple(
        fc.constantFrom('enter', 'exit'),
        fc.constantFrom('p', 'q', 'r'),
        fc.integer({ min: 1, max: 50 }),
      ),
      { selector: ([, , sequence]) => sequence, maxLength: 8 },
    )
    fc.assert(
      fc.property(events, (anyOrder) => {
        const inOrder = anyOrder.toSorted((a, b) => a[2] - b[2])
        const room = (all: typeof anyOrder) => all.reduce(step, connected).room?.channel_name
        expect(room(anyOrder)).toBe(room(inOrder))
        // Some of them once more, as after the loss of an instance.
        expect(room([...anyOrder, ...anyOrder.slice(0, 3)])).toBe(room(inOrder))
      }),
      { numRuns: 500 },
    )
  })

  test('seats: a later event wins, an earlier one changes nothing, the same one again changes nothing', () => {
    expect(sit(seated, 'r', 7, { id: 4 }, at(2), absent)).toBeUndefined()
    expect(sit(seated, 'r', 7, { id: 4 }, at(1), absent)).toBeUndefined()
    expect(sit(seated, 'r', 7, { id: 4 }, at(3), absent)?.room?.seat?.value).toEqual({ id: 4 })
    expect(stand(seated, 'r', '3', at(1))).toBeUndefined()
    expect(stand(seated, 'r', '4', at(3))).toBeUndefined()
    expect(stand(seated, 'q', '3', at(3))).toBeUndefined()
    expect(stand(seated, 'r', '3', at(3))?.room).toMatchObject({ channel_name: 'r', seat: null })
    expect(unseat(seated, 'r', at(2))?.room?.seat).toBeNull()
    expect(unseat(seated, 'r', at(3))).toBeUndefined()
    expect(exit(seated, 'r', at(3))?.room).toBeNull()
    expect(exit(seated, 'q', at(3))?.room?.channel_name).toBe('r')
    expect(exit(exit(seated, 'q', at(3)) ?? seated, 'q', at(3))).toBeUndefined()
    expect(sit(newUser('B'), 'r', 'B', { id: 1 }, at(2), absent)).toMatchObject({
      room: { channel_name: 'r' },
    })
  })

  test('a stream that was made anew counts from 1: its events are later all the same', () => {
    expect(exit(seated, 'r', { epoch: 2, sequence: 1 })?.room).toBeNull()
    expect(exit(seated, 'r', { epoch: 0, sequence: 99 })).toBeUndefined()
  })
})

test('calls', () => {
  const call = { channel_name: 'c', user_id: 'A', receiver_id: 'B' }
  const calling = startCall(inRoom, call, at(5), absent) as UserRecord
  expect(channelsOf(calling)).toEqual(['r', 'c'])
  expect(startCall(calling, call, at(5), absent)).toBeUndefined()
  expect(endCall(calling, 'd', at(6))).toBeUndefined()
  expect(endCall(calling, 'c', at(4))).toBeUndefined()
  expect(endCall(calling, 'c', at(6))?.call).toBeNull()
  expect(evict(calling, 'closed', at(6), 1, 1)?.eviction?.event.call).toEqual(call)
})
