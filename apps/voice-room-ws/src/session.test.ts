import { signFrame } from '@carillon/auth'
import { expect, test } from '@jest/globals'
import { parseCommand, type SignedCommand } from './protocol.ts'
import { openSession, type Session, type SessionContext, step } from './session.ts'

const sign = { method: 'md5', secret: '' } as const
const rules = { sign, skewMs: 0 }
const NOW_MS = 1_700_000_000_000
const here: SessionContext = { nowMs: NOW_MS, channels: ['r'] }
const session = openSession({ userId: '2', sid: 's', sidExpiresAtMs: NOW_MS + 60_000, onlineToken: 't' })
const ping = (fields: object = {}): SignedCommand =>
  parseCommand(
    signFrame({ action: 'ping', online_token: 't', sid: 's', timestamp: NOW_MS / 1_000, ...fields }, sign),
  )
const report = (fields: object = {}) => ping({ action: 'exit_room_report', user_id: '1', ...fields })
const outcome = (received: SignedCommand, from: Session = session, with_ = here, by = rules) =>
  step(from, received, by, with_)[1].map((effect) =>
    effect.type === 'refuse' ? effect.error.code : effect.type,
  )

test('a good ping is a heartbeat, a good report is passed on', () => {
  expect(outcome(ping())).toEqual(['heartbeat'])
  expect(step(session, report(), rules, here)[1]).toEqual([
    { type: 'report', action: 'exit_room_report', userId: '1', channelName: 'r', timestampMs: NOW_MS },
  ])
})

test.each<[string, SignedCommand, string]>([
  [
    'wrong sign',
    parseCommand(
      signFrame({ action: 'ping', online_token: 't', sid: 's', timestamp: 1 }, sign).replace(':1,', ':2,'),
    ),
    'bad_sign',
  ],
  ['foreign online_token', ping({ online_token: 'u' }), 'foreign_token'],
  ['sid of another user', ping({ sid: 'x' }), 'foreign_sid'],
  ['report from another room', report({ channel_name: 'q' }), 'not_in_room'],
])('%s: an error and no effect', (_name, command, code) => {
  expect(outcome(command)).toEqual([code])
})

test('a sid that expires, and a reporter in no room', () => {
  expect(outcome(ping(), session, { ...here, nowMs: NOW_MS + 60_000 })).toEqual(['sid_expired'])
  expect(outcome(report(), session, { ...here, channels: [] })).toEqual(['not_in_room'])
})

test('the third refused frame in a row closes; a good one begins the count anew', () => {
  let state = session
  const after = (command: SignedCommand) => {
    const [next, effects] = step(state, command, rules, here)
    state = next
    return effects.some(({ type }) => type === 'close')
  }
  const bad = ping({ sid: 'x' })
  expect([bad, bad, ping(), bad, bad, bad].map(after)).toEqual([false, false, false, false, false, true])
})

test('with a skew limit a frame is refused that is old, or older than one before: a replay', () => {
  const strict = { sign, skewMs: 30_000 }
  const at = (s: number) => ping({ timestamp: NOW_MS / 1_000 + s })
  expect(outcome(at(-31), session, here, strict)).toEqual(['stale_timestamp'])
  expect(outcome(at(31), session, here, strict)).toEqual(['stale_timestamp'])
  const [later] = step(session, at(5), strict, here)
  expect(outcome(at(4), later, here, strict)).toEqual(['stale_timestamp'])
  expect(outcome(at(5), later, here, strict)).toEqual(['heartbeat'])
  expect(outcome(at(-3_600))).toEqual(['heartbeat'])
})
