import { readFileSync } from 'node:fs'
import { ProtocolError } from '@carillon/codec'
import { tableRows } from '@carillon/testkit'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readConfig } from './config.ts'
import { closeCodes, errorFrame, parseCommand, quoteFrame } from './protocol.ts'

const errorOf = (frame: string) => {
  try {
    parseCommand(frame)
    return 'none'
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return error.message
  }
}
const commend = (text: unknown) => JSON.stringify({ commend: text })

describe('commands', () => {
  test('the documented ones', () => {
    expect(parseCommand('{"commend":"order-slip-quote@chloe-market#40789105-e@219_33753655"}')).toEqual({
      type: 'follow',
      market: {
        kind: 'chloe',
        eventId: '40789105-e',
        marketId: '219_33753655',
        topic: 'quote.chloe.40789105-e.219_33753655',
      },
    })
    expect(parseCommand('{"commend":"order-slip-quote@fancy-market#44914246-e@878_55854706_f"}')).toEqual({
      type: 'follow',
      market: {
        kind: 'fancy',
        eventId: '44914246-e',
        marketId: '878_55854706_f',
        topic: 'quote.fancy.44914246-e.878_55854706_f',
      },
    })
    expect(parseCommand('{"commend":"unsubscribe-order-slip-quote#40789105-e@219_33753655"}')).toMatchObject({
      type: 'unfollow',
      markets: [{ kind: 'chloe' }, { kind: 'fancy', eventId: '40789105-e', marketId: '219_33753655' }],
    })
    expect(parseCommand('{"commend":"stop"}')).toEqual({ type: 'stop' })
    expect(parseCommand('{"commend":"start"}')).toEqual({ type: 'start' })
  })

  test.each([
    ['curly quotes', '{"commend":“stop”}', 'the message must be a JSON object'],
    ['an array', '["stop"]', 'the message must be a JSON object'],
    ['command, not commend', '{"command":"stop"}', 'commend must be a string'],
    ['a number', commend(5), 'commend must be a string'],
    ['an object', commend({}), 'commend must be a string'],
    ['an unknown command', commend('pause'), 'unknown commend "pause"'],
    ['another kind', commend('order-slip-quote@x-market#a@b'), 'unknown commend "order-slip-quote@x-market"'],
    ['no #', commend('order-slip-quote@chloe-market'), 'there is no #'],
    ['no @', commend('order-slip-quote@chloe-market#a'), 'there is no @'],
    ['an empty event', commend('order-slip-quote@chloe-market#@b'), 'an id is empty'],
    ['an empty market', commend('unsubscribe-order-slip-quote#a@'), 'an id is empty'],
    ['a second @', commend('order-slip-quote@chloe-market#a@b@c'), 'an id has a # or @ in it'],
    ['a second #', commend('order-slip-quote@chloe-market#a#b@c'), 'an id has a # or @ in it'],
    ['a long id', commend(`order-slip-quote@chloe-market#${'a'.repeat(257)}@c`), 'an id is too long'],
    [
      'ids whose subject is too long',
      commend(`order-slip-quote@chloe-market#${'測'.repeat(256)}@${'測'.repeat(256)}`),
      'the ids are too long together',
    ],
    [
      'such ids in an unsubscribe',
      commend(`unsubscribe-order-slip-quote#${'測'.repeat(256)}@${'測'.repeat(256)}`),
      'the ids are too long together',
    ],
  ])('%s is an error', (_name, frame, message) => {
    expect(errorOf(frame)).toContain(message)
  })

  test('anything at all is a command or an error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string().map(commend), fc.json()), (frame) => void errorOf(frame)),
    )
  })
})

test('messages have their keys in the documented order', () => {
  expect(quoteFrame('chloe', Buffer.from('[]')).subarray(2).toString()).toBe(
    '{"type":"order-slip","data":[]}',
  )
  expect(quoteFrame('fancy', Buffer.from('[]')).subarray(2).toString()).toBe(
    '{"type":"order-slip-fancy","data":[]}',
  )
  expect(errorFrame(new ProtocolError('x', 'no')).subarray(2).toString()).toBe(
    '{"type":"error","error":"no"}',
  )
})

describe('PROTOCOL.md', () => {
  const page = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8')
  const rows = (heading: string) => tableRows(page, heading)

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
    const { limits, session, aliveIntervalMs, subscriptionsPerUserMax, followedSubjectsMax } = readConfig({})
    expect(limits.framesBurstPerUserMax).toBe(limits.framesBurstMax)
    expect(rows('Limits').map(([, value]) => Number.parseInt(value as string, 10))).toEqual([
      session.subscriptionTtlMs / 1_000,
      aliveIntervalMs,
      0,
      session.subscriptionsMax,
      subscriptionsPerUserMax,
      followedSubjectsMax,
      limits.connectionsMax,
      limits.connectionsPerAddressMax,
      limits.connectionsPerUserMax,
      limits.framesPerSecondMax,
      limits.framesBurstMax,
      limits.framesPerSecondPerUserMax,
      limits.outboxBytesMax,
      limits.frameBytesMax,
      limits.frameBytesHardMax,
      limits.fragmentsMax,
      limits.unfinishedMessageMs,
      limits.unfinishedBytesPerUserMax,
      limits.unfinishedBytesMax,
      limits.violationsMax,
    ])
  })
})
