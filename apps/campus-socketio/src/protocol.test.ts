import { readFileSync } from 'node:fs'
import { ProtocolError } from '@carillon/codec'
import { campusEventsFor } from '@carillon/events'
import { defaultLimits } from '@carillon/gateway'
import { tableRows } from '@carillon/testkit'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { FAILURES_PER_ADDRESS_MAX, FAILURES_PER_DEVICE_MAX } from './authentication-limits.ts'
import { readConfig } from './config.ts'
import { closeCodes, encodeEvent, errorCodes, errorFrame, parseEvent } from './protocol.ts'
import { COMMANDS_WAITING_MAX } from './server.ts'

const page = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8')
const text = (frame: Buffer) => frame.subarray(frame.length < 128 ? 2 : 4).toString()
const codeOf = (name: unknown, ...args: unknown[]) => {
  try {
    parseEvent(name, args)
    return 'none'
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return error.code
  }
}

describe('events of clients', () => {
  test('as the document prints them', () => {
    expect(parseEvent('authentication', [{ signature: 'c24xMjM0NTY3ODphYmNkZWY=' }])).toEqual({
      type: 'authenticate',
      credentials: { serialNo: 'sn12345678', deviceKey: 'abcdef' },
    })
    const room = { kind: 'student', name: 'bp_student_101', app: 'bp', studentId: 101 }
    expect(parseEvent('join_room', [{ room: 'bp_student_101' }])).toEqual({
      type: 'join',
      room,
      ticket: undefined,
    })
    expect(parseEvent('leave_room', [{ room: 'bp_student_101' }])).toEqual({ type: 'leave', room })
    expect(parseEvent('cmd_result', [{ result: 'ok' }])).toEqual({ type: 'command_result', result: 'ok' })
  })

  test.each([
    ['signature_invalid', 'authentication', undefined],
    ['signature_invalid', 'authentication', 'c24xMjM0NTY3ODphYmNkZWY='],
    ['signature_invalid', 'authentication', { signature: 'abcdefg123456' }],
    ['signature_invalid', 'authentication', { signature: 1 }],
    ['signature_invalid', 'authentication', { signature: Buffer.from('a b:key').toString('base64') }],
    ['invalid_room', 'join_room', {}],
    ['invalid_room', 'join_room', { room: 1 }],
    ['invalid_room', 'join_room', { room: 'x y' }],
    ['invalid_room', 'join_room', JSON.parse('{"__proto__":{"room":"bp_student_1"}}')],
    ['not_allowed', 'join_room', { room: 'bp_student_1', ticket: 1 }],
    ['not_allowed', 'join_room', { room: 'bp_student_1', ticket: 'x'.repeat(9_000) }],
    ['invalid_room', 'leave_room', [{ room: 'bp_student_1' }]],
    ['invalid_result', 'cmd_result', { result: {} }],
    ['unknown_event', 'remote_cmd', {}],
    ['unknown_event', 'memos_update', {}],
    ['unknown_event', 'constructor', {}],
    ['unknown_event', 1, {}],
  ])('%s: %s %j', (code, name, body) => {
    expect(codeOf(name, body)).toBe(code)
  })

  test('anything at all is a command or a documented error', () => {
    const name = fc.constantFrom('authentication', 'join_room', 'leave_room', 'cmd_result', 'x')
    fc.assert(
      fc.property(fc.oneof(name, fc.anything()), fc.array(fc.anything()), (event, args) => {
        expect(['none', ...Object.keys(errorCodes)]).toContain(codeOf(event, ...args))
      }),
    )
  })
})

test('failures have the form of the document', () => {
  const failure = (request: string) => text(errorFrame(new ProtocolError('x', 'join room fail', request)))
  expect(failure('join_room')).toBe('42["join_room:fail",{"error_msg":"join room fail"}]')
  expect(failure('authentication')).toBe('42["auth:fail",{"error_msg":"join room fail"}]')
  expect(failure('toString')).toBe('42["protocol:fail",{"error_msg":"join room fail","event":"toString"}]')
  expect(text(encodeEvent('auth:ok'))).toBe('42["auth:ok"]')
})

describe('PROTOCOL.md', () => {
  const rows = (heading: string) => tableRows(page, heading)
  const names = (column: string[]) => column[0]?.replaceAll('`', '')

  test('lists every error code and no other', () => {
    expect(
      Object.fromEntries(rows('Errors').map(([code, meaning]) => [code?.replaceAll('`', ''), meaning])),
    ).toEqual(errorCodes)
  })

  test('lists every close code and no other', () => {
    const documented = rows('Close codes').map(
      ([code, reason, reconnect]) => `${code} ${reason} ${reconnect}`,
    )
    const known = Object.values(closeCodes).map(
      (each) => `${each.code} ${each.reason} ${each.reconnect ? 'yes' : 'no'}`,
    )
    expect(documented).toEqual(known.sort())
  })

  test('lists every event', () => {
    const listed = rows('Events of the server').map(names)
    for (const event of [...campusEventsFor('device'), ...campusEventsFor('room')])
      expect(listed).toContain(event)
  })

  test('states the limits as they are', () => {
    const { durable, limits, session, ...config } = readConfig({})
    const documented = rows('Limits').map(([, value]) => Number.parseInt(value as string, 10))
    expect(documented).toEqual([
      durable.ackTimeoutMs,
      durable.backOffMsMax,
      durable.inFlightBytesMax,
      config.pushesInFlightMax,
      limits.connectionsMax,
      limits.connectionsPerAddressMax,
      session.roomsMax,
      config.roomsMax,
      limits.framesPerSecondMax,
      config.requestsPerSecondMax,
      limits.outboxBytesMax,
      defaultLimits.frameBytesMax,
      defaultLimits.frameBytesHardMax,
      defaultLimits.violationsMax,
      defaultLimits.unauthenticatedMs,
      config.pingIntervalMs,
      config.pingTimeoutMs,
      session.failedAuthenticationsMax,
      FAILURES_PER_DEVICE_MAX,
      FAILURES_PER_ADDRESS_MAX,
      COMMANDS_WAITING_MAX,
    ])
  })
})

test('production leaves neither room access nor secrets to a default', () => {
  expect(() => readConfig({ NODE_ENV: 'production', AUTH_HS256_SECRET: 'x'.repeat(32) })).toThrow(
    /CAMPUS_ROOM_ACCESS[\s\S]*CAMPUS_DEVICE_KEY_SECRET/,
  )
})
