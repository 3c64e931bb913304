import { readFileSync } from 'node:fs'
import { ProtocolError } from '@carillon/codec'
import { defaultLimits } from '@carillon/gateway'
import { tableRows } from '@carillon/testkit'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readConfig } from './config.ts'
import { closeCodes, errorCodes, errorFrame, parseCommand, pushFrame } from './protocol.ts'

const page = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8')
const text = (frame: Buffer) => frame.subarray(frame.length < 128 ? 2 : 4).toString()
const codeOf = (frame: string) => {
  try {
    parseCommand(frame)
    return 'none'
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return error.code
  }
}

describe('commands', () => {
  test('a subscribe, as the document prints it', () => {
    const frame =
      '{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}'
    expect(parseCommand(frame)).toEqual({
      type: 'subscribe',
      event: 'bid',
      auctionId: '3607',
      single: true,
      recover: false,
    })
  })

  test('a numeric id names the same auction', () => {
    const frame = '{"key":"auction_cancel_subscribe","data":{"event":"enter","auctionId":3607}}'
    expect(parseCommand(frame)).toEqual({ type: 'cancel', event: 'enter', auctionId: '3607' })
  })

  const subscribe = (data: unknown) => JSON.stringify({ key: 'auction_subscribe', data })
  test.each([
    ['malformed_json', 'hello'],
    ['malformed_json', ''],
    ['malformed_json', '{"key":'],
    ['not_an_object', '[]'],
    ['not_an_object', 'null'],
    ['not_an_object', '"success"'],
    ['unknown_key', '{}'],
    ['unknown_key', '{"key":"subscribe"}'],
    ['unknown_key', '{"key":["auction_subscribe"]}'],
    ['invalid_data', '{"key":"auction_subscribe"}'],
    ['invalid_data', subscribe([])],
    ['unknown_event', subscribe({ auctionId: '1' })],
    ['unknown_event', subscribe({ event: 'constructor', auctionId: '1' })],
    ['unknown_event', subscribe({ event: 1, auctionId: '1' })],
    ['invalid_auction_id', subscribe({ event: 'bid' })],
    ...['a.b', '*', '>', ' 1', '1 ', '', '-1', '007', '1.5', '1e3', '9'.repeat(17), 'x'.repeat(10_000)].map(
      (auctionId) => ['invalid_auction_id', subscribe({ event: 'bid', auctionId })] as const,
    ),
    ...[-1, 1.5, 2 ** 60, null, {}, [], true].map(
      (auctionId) => ['invalid_auction_id', subscribe({ event: 'bid', auctionId })] as const,
    ),
    ['invalid_data', subscribe({ event: 'bid', auctionId: '1', single: 'true' })],
    ['invalid_data', subscribe({ event: 'bid', auctionId: '1', recover: 1 })],
  ])('%s: %.80s', (code, frame) => {
    expect(codeOf(frame)).toBe(code)
  })

  test('anything at all is a command or a documented error', () => {
    const json = fc.record({ key: fc.constantFrom('auction_subscribe', 'x'), data: fc.jsonValue() })
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          json.map((value) => JSON.stringify(value)),
        ),
        (frame) => {
          expect(['none', ...Object.keys(errorCodes)]).toContain(codeOf(frame))
        },
      ),
    )
  })
})

test('errors and pushes have their keys in the documented order', () => {
  expect(text(errorFrame(new ProtocolError('unknown_key', 'no', 'k')))).toBe(
    '{"data":{"code":"unknown_key","message":"no","key":"k"},"event":"error"}',
  )
  expect(text(pushFrame('bid', Buffer.from('{"a": 1}')))).toBe('{"data":{"a": 1},"event":"bid"}')
})

describe('PROTOCOL.md', () => {
  const rows = (heading: string) => tableRows(page, heading)

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

  test('states the limits as they are', () => {
    const defaults = readConfig({})
    const documented = rows('Limits').map(([, value]) => Number.parseInt(value as string, 10))
    expect(defaults.limits.framesBurstPerUserMax).toBe(defaults.limits.framesPerSecondPerUserMax * 2)
    const { connectionsMax, connectionsPerAddressMax, connectionsPerUserMax, framesPerSecondMax } =
      defaults.limits
    expect(documented).toEqual([
      defaults.idleTimeoutMs,
      connectionsMax,
      connectionsPerAddressMax,
      connectionsPerUserMax,
      defaults.subscriptionsMax,
      defaults.subscriptionsPerUserMax,
      defaults.followedSubjectsMax,
      framesPerSecondMax,
      defaults.limits.framesPerSecondPerUserMax,
      defaults.limits.outboxBytesMax,
      defaultLimits.frameBytesMax,
      defaultLimits.frameBytesHardMax,
      defaultLimits.fragmentsMax,
      defaultLimits.unfinishedMessageMs,
      defaultLimits.unfinishedBytesPerUserMax,
      defaultLimits.unfinishedBytesMax,
      defaultLimits.violationsMax,
      defaultLimits.unauthenticatedMs,
    ])
  })
})
