import { readFileSync } from 'node:fs'
import { ProtocolError } from '@carillon/codec'
import { VOICE_ID_BYTES_MAX, VOICE_NOTICE_BYTES_MAX, voiceActions } from '@carillon/events'
import { tableRows } from '@carillon/testkit'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readConfig } from './config.ts'
import { reports } from './notice.ts'
import { closeCodes, errorFrame, errorReasons, parseCommand, refusedFrame, tokenFrame } from './protocol.ts'
import { reportLimits } from './reports.ts'

const common = { online_token: '1fabc', sid: '110sabc', timestamp: 1_523_600_000, sign: 'x' }
const frame = (fields: object) => JSON.stringify({ ...common, ...fields })
const errorOf = (text: string) => {
  try {
    parseCommand(text)
    return 'none'
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return error.code
  }
}

describe('frames of the client', () => {
  test('a ping', () => {
    expect(parseCommand(frame({ action: 'ping' }))).toMatchObject({
      command: { type: 'ping' },
      onlineToken: '1fabc',
      sid: '110sabc',
      timestampMs: 1_523_600_000_000,
    })
  })

  test.each(Object.keys(reports))('%s', (action) => {
    for (const user_id of [1233, '1233'])
      expect(parseCommand(frame({ action, user_id })).command).toEqual({
        type: 'report',
        action,
        userId: '1233',
        channelName: undefined,
      })
  })

  test.each([
    [1_523_600_000, 1_523_600_000_000],
    ['1523600000', 1_523_600_000_000],
    [1_523_600_000_123, 1_523_600_000_123],
    ['1523600000123', 1_523_600_000_123],
  ])('timestamp %j', (timestamp, expected) => {
    expect(parseCommand(frame({ action: 'ping', timestamp })).timestampMs).toBe(expected)
  })

  test.each([
    ['no JSON', '{', 'not_an_object'],
    ['an array', '[]', 'not_an_object'],
    ['an object in a field', frame({ action: 'ping', more: {} }), 'not_an_object'],
    ['no action', frame({}), 'unknown_action'],
    ['another action', frame({ action: 'exit_room' }), 'unknown_action'],
    ['an inherited name', frame({ action: 'toString' }), 'unknown_action'],
    ['no token', frame({ action: 'ping', online_token: undefined }), 'invalid_field'],
    ['a token that is no text', frame({ action: 'ping', online_token: 1 }), 'invalid_field'],
    ['no sid', frame({ action: 'ping', sid: undefined }), 'invalid_field'],
    ['no sign', frame({ action: 'ping', sign: undefined }), 'invalid_field'],
    ['a timestamp before 1970', frame({ action: 'ping', timestamp: -1 }), 'invalid_field'],
    ['a timestamp with a fraction', frame({ action: 'ping', timestamp: 1.5 }), 'invalid_field'],
    ['no user', frame({ action: 'exit_room_report' }), 'invalid_field'],
    ['an empty user', frame({ action: 'exit_room_report', user_id: '' }), 'invalid_field'],
    ['a long user', frame({ action: 'exit_room_report', user_id: '测'.repeat(86) }), 'invalid_field'],
    [
      'a channel that is no id',
      frame({ action: 'up_deport', user_id: 1, channel_name: true }),
      'invalid_field',
    ],
  ])('%s is refused', (_name, text, code) => {
    expect(errorOf(text)).toBe(code)
  })

  test('anything at all is a command or an error', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void errorOf(text)))
  })
})

test('frames of the server', () => {
  const text = (bytes: Buffer) => bytes.subarray(2).toString()
  expect(text(tokenFrame('t', 15))).toBe('{"action":"create_token","online_token":"t","ping_interval":15}')
  expect(text(refusedFrame('no'))).toBe('{"action":"create_token","error_code":-1,"error_reason":"no"}')
  expect(text(errorFrame(new ProtocolError('x', 'no', 'ping')))).toBe(
    '{"action":"error","error_code":-1,"error_reason":"no","request_action":"ping"}',
  )
})

describe('PROTOCOL.md', () => {
  const page = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8')
  const rows = (heading: string) => tableRows(page, heading)
  const codesIn = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name)

  test('lists every close code and no other', () => {
    const documented = rows('Close codes').map(([code, reason, again]) => `${code} ${reason} ${again}`)
    const known = Object.values(closeCodes).map(
      ({ code, reason, reconnect }) => `${code} ${reason} ${reconnect ? 'yes' : 'no'}`,
    )
    expect(documented).toEqual([...new Set(known)].sort())
  })

  test('lists every error', () => {
    expect(rows('Errors').map(([reason]) => reason)).toEqual(Object.values(errorReasons))
  })

  test('lists every command, and every notice with its reports', () => {
    const commands = rows('Frames of the client').flatMap(([name]) => codesIn(name as string))
    expect(commands.sort()).toEqual(['ping', ...Object.keys(reports)].sort())
    const notices = rows('Notices').map(([action, , by]) => [
      codesIn(action as string)[0],
      codesIn(by as string),
    ])
    expect(notices).toEqual(
      voiceActions.map((action) => [
        action,
        Object.entries(reports).flatMap(([report, of]) => (of === action ? [report] : [])),
      ]),
    )
  })

  test('states the limits as they are', () => {
    const { limits, relays, capacity, ...config } = readConfig({})
    expect(rows('Limits').map(([, value]) => Number.parseInt(value as string, 10))).toEqual([
      config.pingIntervalS,
      config.heartbeatTimeoutMs,
      config.exitGraceMs,
      config.handoverGraceMs,
      config.leaseMs,
      relays.timeoutMs,
      relays.attemptsMax,
      relays.openMax,
      relays.openPerRoomMax,
      capacity.roomMembersMax,
      capacity.usersMax,
      reportLimits.waitingMax,
      reportLimits.waitMs,
      config.skewMs,
      limits.connectionsMax,
      limits.connectionsPerAddressMax,
      limits.connectionsPerUserMax,
      limits.framesPerSecondMax,
      limits.framesBurstMax,
      limits.outboxBytesMax,
      limits.frameBytesMax,
      limits.frameBytesHardMax,
      VOICE_NOTICE_BYTES_MAX,
      VOICE_ID_BYTES_MAX,
      limits.violationsMax,
    ])
  })
})
