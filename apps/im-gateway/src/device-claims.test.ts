import type { ImDeviceClaim } from '@carillon/events'
import { expect, test } from '@jest/globals'
import { replaces } from './device-claims.ts'

const claim = (order: number, connection: string, repeated = false): ImDeviceClaim => ({
  user_id: 'u',
  platform: 'ios',
  device_id: 'd',
  instance_id: connection,
  connection_id: connection,
  order,
  repeated,
})

test('what comes long after is newer, whatever the clocks say', () => {
  expect(replaces(claim(1, 'b'), claim(5_000, 'a'), 60_000)).toBe(true)
})

test('within the time that a connection may take to open, the one that was made later is newer', () => {
  expect(replaces(claim(1, 'b'), claim(5_000, 'a'), 16_000)).toBe(false)
})

test('claims that may have crossed are compared by order, and both sides agree', () => {
  const [a, b] = [claim(5, 'a'), claim(6, 'b')]
  expect(replaces(b, a, 100)).toBe(true)
  expect(replaces(a, b, 100)).toBe(false)
  const [c, d] = [claim(5, 'c'), claim(5, 'd')]
  expect([replaces(c, d, 0), replaces(d, c, 0)].sort()).toEqual([false, true])
})

test('what is said again after a while is compared by order alone', () => {
  expect(replaces(claim(1, 'b', true), claim(5_000, 'a'), 60_000)).toBe(false)
  expect(replaces(claim(9_000, 'b', true), claim(5_000, 'a'), 60_000)).toBe(true)
})
