import { campusEventsFor } from '@carillon/events'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseAnswer } from './answer.ts'

test.each([
  ['media_stop', { ack: true }],
  ['media_stop', '{"ack": true}'],
  ['media_stop', { ack: true, more: 1 }],
  ['device_status', { ack: true, status: 'on' }],
  ['device_status', '{"ack":true,"status":"sleep"}'],
  ['face_data_count', { ack: true, count: 56 }],
] as const)('%s answered with %j is acknowledged', (event, answer) => {
  const response = typeof answer === 'string' ? JSON.parse(answer) : answer
  expect(parseAnswer(event, [answer])).toEqual({ status: 'acked', response })
})

test.each([
  ['media_stop', []],
  ['media_stop', [null]],
  ['media_stop', [true]],
  ['media_stop', ['ack']],
  ['media_stop', [{}]],
  ['media_stop', [{ ack: false }]],
  ['media_stop', [{ ack: 'true' }]],
  ['media_stop', [[{ ack: true }]]],
  ['media_stop', [undefined, { ack: true }]],
  ['device_status', [{ ack: true }]],
  ['device_status', [{ ack: true, status: 'off' }]],
  ['face_data_count', [{ ack: true, count: -1 }]],
  ['face_data_count', [{ ack: true, count: '56' }]],
  ['memos_update', [{ ack: true }]],
  ['media_stop', ['{"__proto__":{"ack":true}}']],
] as const)('%s answered with %j is rejected', (event, args) => {
  expect(parseAnswer(event, args).status).toBe('rejected')
})

test('an answer too deep to be printed is rejected', () => {
  const depth = 50_000
  const deep = `{"ack":true,"x":${'['.repeat(depth)}${']'.repeat(depth)}}`
  expect(parseAnswer('media_stop', [deep])).toMatchObject({ status: 'rejected' })
})

test('anything at all is acknowledged or rejected', () => {
  fc.assert(
    fc.property(fc.constantFrom(...campusEventsFor('device')), fc.array(fc.anything()), (event, args) => {
      expect(['acked', 'rejected']).toContain(parseAnswer(event, args).status)
    }),
  )
})
