import { TimingWheel } from '@carillon/service'
import { ManualClock } from '@carillon/testkit'
import { expect, test } from '@jest/globals'
import type { ClientConnection } from './client-connection.ts'
import { ConnectionRotation } from './rotation.ts'

const code = { code: 1012, reason: 'service restart', reconnect: true }
const MINUTE_MS = 60_000

function rotate(count: number, ageMaxMs: number) {
  const clock = new ManualClock()
  const wheel = new TimingWheel(clock)
  const closedAtMinutes: number[] = []
  const startedAtMs = clock.monotonic()
  const rotation = new ConnectionRotation<ClientConnection>(ageMaxMs, wheel, code, () => {})
  const connections = Array.from({ length: count }, () => ({
    close: () => closedAtMinutes.push((clock.monotonic() - startedAtMs) / MINUTE_MS),
  }))
  for (const connection of connections) rotation.opened(connection as never)
  const pass = (minutes: number) => {
    for (let step = 0; step < minutes * 120; step++) {
      clock.move(500)
      wheel.advance()
    }
  }
  return { rotation, connections, closedAtMinutes, pass }
}

test('connections that were opened together are closed between 45 and 55 minutes, evenly', () => {
  const { closedAtMinutes, pass } = rotate(2_000, 55 * MINUTE_MS)
  pass(56)
  expect(closedAtMinutes).toHaveLength(2_000)
  expect(Math.min(...closedAtMinutes)).toBeGreaterThanOrEqual(45)
  expect(Math.max(...closedAtMinutes)).toBeLessThanOrEqual(55.1)
  for (let minute = 45; minute < 55; minute++) {
    const share = closedAtMinutes.filter((at) => at >= minute && at < minute + 1).length
    // 200 each, within many times the deviation of chance.
    expect(share).toBeGreaterThan(100)
    expect(share).toBeLessThan(300)
  }
})

test('who has gone is not closed, and without a limit nobody is', () => {
  const one = rotate(1, 55 * MINUTE_MS)
  one.rotation.ended(one.connections[0] as never)
  one.pass(56)
  expect(one.closedAtMinutes).toEqual([])
  const none = rotate(10, 0)
  none.pass(120)
  expect(none.closedAtMinutes).toEqual([])
})
