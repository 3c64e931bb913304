import type { Announcement, Stats } from '@carillon/events'
import { describe, expect, test } from '@jest/globals'
import { Fleet } from './fleet.ts'

const announcement = (id: string, change: Partial<Announcement> = {}): Announcement => ({
  service: 'auction-push',
  instance_id: id,
  end_point: `ws://${id}`,
  region: 'east',
  connections: 2,
  capacity: 100,
  draining: false,
  version: '1',
  started_at: 5,
  ...change,
})
const stats = (id: string, uptime_ms: number, deliveries: number, service = 'auction-push'): Stats => ({
  service,
  instance_id: id,
  region: 'east',
  version: '1',
  started_at: 5,
  uptime_ms,
  state: 'ready',
  samples: { carillon_deliveries_total: deliveries, carillon_connections: 3 },
  event_loop_lag_p99_ms: 1,
  event_loop_lag_max_ms: 2,
  settings: { log_level: 'info' },
})
const fleetOf = () => {
  const fleet = new Fleet(['auction-push', 'im-messages'])
  fleet.connected(0)
  return fleet
}
const ids = (fleet: Fleet, nowMs: number) => fleet.instances(nowMs).map(({ instance_id }) => instance_id)
const rate = (fleet: Fleet) => fleet.values()['auction-push']?.deliveries_per_s

describe('the fleet', () => {
  test('is known by announcements and by answers', () => {
    const fleet = fleetOf()
    fleet.announced(announcement('a'), 0)
    fleet.answered([stats('m', 900, 0, 'im-messages')], 0, 10)
    expect(fleet.instances(20)).toEqual([
      {
        ...{ service: 'auction-push', instance_id: 'a', region: 'east', version: '1', started_at: 5 },
        ...{ state: 'ready', connections: 2, capacity: 100, silent: true },
      },
      {
        ...{ service: 'im-messages', instance_id: 'm', region: 'east', version: '1', started_at: 5 },
        ...{ state: 'ready', event_loop_lag_p99_ms: 1, silent: false },
      },
    ])
  })

  test('an instance that was killed goes after its silence, and its rate with it; another one counts from its start', () => {
    const fleet = fleetOf()
    fleet.answered([stats('a', 60_000, 1_000), stats('b', 60_000, 5_000)], 1_000, 1_010)
    fleet.answered([stats('a', 61_000, 1_100), stats('b', 61_000, 5_300)], 2_000, 2_010)
    expect(rate(fleet)).toBe(400)
    // b is gone, c has started within the second.
    fleet.answered([stats('a', 62_000, 1_200), stats('c', 500, 40)], 3_000, 3_010)
    expect(rate(fleet)).toBe(100 + 300 + 80)
    for (let at = 4; at <= 6; at++)
      fleet.answered(
        [stats('a', 59_000 + at * 1_000, 900 + at * 100), stats('c', at * 1_000 - 2_500, 40 + (at - 3) * 10)],
        at * 1_000,
        at * 1_000 + 10,
      )
    expect(rate(fleet)).toBe(110)
    expect(ids(fleet, 8_000)).toEqual(['a', 'b', 'c'])
    expect(ids(fleet, 8_011)).toEqual(['a', 'c'])
  })

  test('nobody goes while NATS is away, or before there was time to be heard again', () => {
    const fleet = fleetOf()
    fleet.announced(announcement('a'), 0)
    fleet.disconnected()
    expect(ids(fleet, 600_000)).toEqual(['a'])
    fleet.connected(600_000)
    expect(ids(fleet, 606_000)).toEqual(['a'])
    expect(ids(fleet, 606_001)).toEqual([])
  })

  test('after a pause rates begin anew', () => {
    const fleet = fleetOf()
    fleet.answered([stats('a', 1_000, 0)], 1_000, 1_000)
    fleet.pause()
    fleet.answered([stats('a', 901_000, 9_000_000)], 901_000, 901_000)
    expect(rate(fleet)).toBe(undefined)
    fleet.answered([stats('a', 902_000, 9_000_010)], 902_000, 902_000)
    expect(rate(fleet)).toBe(10)
  })

  test('has a bound, and those that are gone make room', () => {
    const fleet = fleetOf()
    for (let i = 0; i < 500; i++) expect(fleet.announced(announcement(`i${i}`), 0)).toBe(true)
    expect(fleet.announced(announcement('more'), 10)).toBe(false)
    expect(fleet.announced(announcement('more'), 6_001)).toBe(true)
    expect(fleet.announced(announcement('x', { service: 'unknown' }), 6_001)).toBe(false)
  })
})
