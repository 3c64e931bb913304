import { describe, expect, test } from '@jest/globals'
import { parseEvent } from './protocol.ts'
import { type Effect, emptySession, type Outcome, type Session, type SessionLimits, step } from './session.ts'

const limits: SessionLimits = { roomsMax: 2, failedAuthenticationsMax: 3, roomAccess: 'open' }
const ticketLimits: SessionLimits = { ...limits, roomAccess: 'ticket' }
const device = (...studentIds: number[]) => ({ serialNo: 'AC1', studentIds: new Set(studentIds) })
const signature = (text: string) => Buffer.from(text).toString('base64')

/** Steps through commands, answering each question as told; answers the effects as short texts. */
function run(
  start: Session,
  inputs: readonly (readonly [string, unknown] | Outcome)[],
  answer: (effect: Effect) => Outcome | undefined = () => undefined,
  given = limits,
) {
  let session = start
  const done: string[] = []
  const take = (input: Parameters<typeof step>[1]) => {
    const [next, effects] = step(session, input, given)
    session = next
    for (const effect of effects) {
      done.push(describeEffect(effect))
      const outcome = answer(effect)
      if (outcome) take(outcome)
    }
  }
  for (const input of inputs) take('type' in input ? input : parseEvent(input[0], [input[1]]))
  return { session, done }
}

function describeEffect(effect: Effect): string {
  switch (effect.type) {
    case 'emit':
      return effect.event
    case 'refuse':
      return effect.error.code
    case 'close':
      return `close ${effect.code.code}`
    case 'subscribe':
      return `subscribe ${effect.room.name}`
    case 'unsubscribe':
      return `unsubscribe ${effect.room}`
    default:
      return effect.type
  }
}

const good = (effect: Effect): Outcome | undefined => {
  if (effect.type === 'verify') return { type: 'verified', device: device(11) }
  if (effect.type === 'claim') return { type: 'claimed', serialNo: effect.device.serialNo }
  if (effect.type === 'subscribe') return { type: 'subscribed', room: effect.room }
  if (effect.type === 'check_ticket') return { type: 'ticket_checked', room: effect.room, valid: true }
  return undefined
}
const authentication = ['authentication', { signature: signature('AC1:key') }] as const
const authenticated = run(emptySession, [authentication], good).session
const join = (room: string, ticket?: string) => ['join_room', { room, ticket }] as const
const leave = (room: string) => ['leave_room', { room }] as const

describe('authentication', () => {
  test('verifies, claims, says so, then delivers', () => {
    expect(run(emptySession, [authentication], good).done).toEqual(['verify', 'claim', 'auth:ok', 'deliver'])
  })

  test('a second one of the same device is verified again, of another device refused', () => {
    expect(run(authenticated, [authentication], good).done).toEqual(['verify', 'auth:ok'])
    const other = ['authentication', { signature: signature('AC2:key') }] as const
    expect(run(authenticated, [other], good).done).toEqual(['other_device'])
  })

  test('the third failure closes', () => {
    const wrong = (effect: Effect): Outcome | undefined =>
      effect.type === 'verify' ? { type: 'not_verified', error: 'signature_wrong' } : undefined
    expect(run(emptySession, [authentication, authentication, authentication], wrong).done).toEqual([
      ...['verify', 'signature_wrong', 'verify', 'signature_wrong', 'verify', 'signature_wrong'],
      'close 4405',
    ])
  })

  const away = (effect: Effect): Outcome | undefined =>
    effect.type === 'verify' ? { type: 'unavailable' } : undefined
  test('without NATS the connection is closed, to come back', () => {
    expect(run(emptySession, [authentication], away).done).toEqual(['verify', 'close 1011'])
  })
})

describe('rooms', () => {
  test('join, join again, leave, leave again', () => {
    const room = 'bp_student_101'
    const { done, session } = run(emptySession, [join(room), join(room), leave(room), leave(room)], good)
    expect(done).toEqual([
      ...['subscribe bp_student_101', 'join_room:ok', 'join_room:ok'],
      ...['unsubscribe bp_student_101', 'leave_room:ok', 'not_joined'],
    ])
    expect(session.rooms.size).toBe(0)
  })

  test('so many and no more, and one that is left makes place', () => {
    const { done } = run(emptySession, [join('a'), join('b'), join('c'), leave('a'), join('c')], good)
    expect(done.filter((each) => /^(too|join_room)/.test(each))).toEqual([
      ...['join_room:ok', 'join_room:ok', 'too_many_rooms', 'join_room:ok'],
    ])
  })

  test('with tickets, only the own ones are open', () => {
    const joins = [
      join('AC1'),
      join('AC2'),
      join('bp_student_11'),
      join('bp_student_12'),
      join('wxa_student_11'),
    ]
    const wide = { ...ticketLimits, roomsMax: 9 }
    expect(run(authenticated, joins, good, wide).done).toEqual([
      ...['subscribe AC1', 'join_room:ok', 'not_allowed'],
      ...['subscribe bp_student_11', 'join_room:ok', 'not_allowed', 'not_allowed'],
    ])
    expect(run(emptySession, [join('AC1')], good, wide).done).toEqual(['not_allowed'])
  })

  test('a ticket is looked at', () => {
    const joins = [join('AC2', 'a.b.c')]
    expect(run(emptySession, joins, good, ticketLimits).done).toEqual([
      'check_ticket',
      'subscribe AC2',
      'join_room:ok',
    ])
    const bad = (effect: Effect): Outcome | undefined =>
      effect.type === 'check_ticket' ? { type: 'ticket_checked', room: effect.room, valid: false } : undefined
    expect(run(emptySession, joins, bad, ticketLimits).done).toEqual(['check_ticket', 'not_allowed'])
  })

  test('a device of another class leaves the rooms of its former students', () => {
    const inside = run(authenticated, [join('AC1'), join('bp_student_11')], good, ticketLimits).session
    const changed: Outcome = { type: 'device_changed', device: device(12) }
    const { done, session } = run(inside, [changed], good, ticketLimits)
    expect(done).toEqual(['unsubscribe bp_student_11'])
    expect([...session.rooms]).toEqual(['AC1'])
    expect(run(inside, [changed], good, limits).done).toEqual([])
  })
})

describe('results of remote commands', () => {
  const result = ['cmd_result', { result: 'ok' }] as const
  test('are passed on for the device in its room alone', () => {
    expect(run(authenticated, [join('AC1'), result], good).done).toContain('publish_result')
    for (const [session, room] of [
      [authenticated, 'AC2'],
      [emptySession, 'AC1'],
    ] as const) {
      expect(run(session, [join(room), result], good).done.at(-1)).toBe('not_the_device')
    }
    expect(run(authenticated, [result], good).done).toEqual(['not_the_device'])
  })
})
