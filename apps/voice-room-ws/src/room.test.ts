import type { VoiceVersion } from '@carillon/events'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  beginCall,
  clearSeats,
  finishCall,
  newRoom,
  occupy,
  type RoomRecord,
  SEATS_MAX,
  seatOf,
  vacate,
} from './room.ts'

const at = (sequence: number): VoiceVersion => ({ epoch: 1, sequence })

test('who sits on a seat is what the last event says, in whatever order they come', () => {
  const events = fc.uniqueArray(
    fc.record({ sequence: fc.integer({ min: 1, max: 99 }), user: fc.option(fc.constantFrom('A', 'B')) }),
    { selector: ({ sequence }) => sequence, minLength: 1, maxLength: 8 },
  )
  fc.assert(
    fc.property(events, (all) => {
      const room = all.reduce(
        (record: RoomRecord, { sequence, user }) =>
          (user === null ? vacate(record, '1', at(sequence)) : occupy(record, '1', user, at(sequence))) ??
          record,
        newRoom('r'),
      )
      const last = all.toSorted((a, b) => b.sequence - a.sequence)[0]
      expect(seatOf(room, '1')?.user_id).toBe(last?.user)
    }),
  )
})

test('a seat remembers who sat there before; a user has one seat', () => {
  let room = occupy(newRoom('r'), '1', 'A', at(1)) as RoomRecord
  room = occupy(room, '1', 'B', at(2)) as RoomRecord
  expect(seatOf(room, '1')).toMatchObject({ user_id: 'B', previous: 'A' })
  room = occupy(room, '2', 'B', at(3)) as RoomRecord
  expect(seatOf(room, '1')).toMatchObject({ user_id: null, previous: 'B' })
  expect(clearSeats(room, 'B', at(2))).toBeUndefined()
  expect(seatOf(clearSeats(room, 'B', at(3)) as RoomRecord, '2')?.user_id).toBeNull()
})

test('seats are bounded: those that nobody sits on go first', () => {
  let room = occupy(newRoom('r'), 'first', 'A', at(1)) as RoomRecord
  for (let i = 0; i < SEATS_MAX + 20; i++) room = vacate(room, `s${i}`, at(i + 2)) ?? room
  expect(room.seats.length).toBe(SEATS_MAX)
  expect(seatOf(room, 'first')?.user_id).toBe('A')
})

test('a call that ended before its start was seen is over', () => {
  const ended = finishCall(newRoom('c'), at(2)) as RoomRecord
  expect(beginCall(ended, 'A', 'B', at(1))).toBeUndefined()
  const next = beginCall(ended, 'A', 'B', at(3)) as RoomRecord
  expect(next.call).toMatchObject({ ended: false, user_id: 'A' })
  expect(finishCall(finishCall(next, at(4)) as RoomRecord, at(5))).toBeUndefined()
})
