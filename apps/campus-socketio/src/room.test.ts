import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isOwnRoom, parseRoom, roomsOfTicket } from './room.ts'

test.each([
  ['bp_student_11', { kind: 'student', name: 'bp_student_11', app: 'bp', studentId: 11 }],
  ['wxa_student_11', { kind: 'student', name: 'wxa_student_11', app: 'wxa', studentId: 11 }],
  ['AC4178234415', { kind: 'device', name: 'AC4178234415', serialNo: 'AC4178234415' }],
  ['bp_student_', undefined],
  ['bp_student_011', undefined],
  ['bp_student_1e3', undefined],
  ['bp_student_-1', undefined],
  ['bp_student_9999999999999999999', undefined],
  ['', undefined],
  ['a b', undefined],
  ['a*', undefined],
  ['>', undefined],
  ['班级', undefined],
  ['x'.repeat(65), undefined],
])('%s', (name, room) => {
  expect(parseRoom(name)).toEqual(room)
})

test('every text is a room or none', () => {
  fc.assert(fc.property(fc.string(), (name) => [undefined, name].includes(parseRoom(name)?.name)))
})

describe('what a device may join without a ticket', () => {
  const device = { serialNo: 'AC1', studentIds: new Set([11]) }
  const own = (name: string, who: typeof device | undefined = device) => {
    const room = parseRoom(name)
    return room !== undefined && isOwnRoom(who, room)
  }
  test.each([
    ['AC1', true],
    ['AC2', false],
    ['bp_student_11', true],
    ['bp_student_12', false],
    ['wxa_student_11', false],
  ])('%s: %s', (name, expected) => {
    expect(own(name)).toBe(expected)
    const room = parseRoom(name)
    expect(room && isOwnRoom(undefined, room)).toBe(false)
  })
})

test.each([[{}], [{ rooms: 'bp_student_1' }], [{ rooms: [1, null, {}] }]])('%j lists no room', (claims) => {
  expect(roomsOfTicket(claims).size).toBe(0)
})
