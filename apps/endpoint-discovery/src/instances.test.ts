import type { Announcement } from '@carillon/events'
import { describe, expect, test } from '@jest/globals'
import { Instances } from './instances.ts'

const announcement = (id: string, change: Partial<Announcement> = {}): Announcement => ({
  service: 'auction-push',
  instance_id: id,
  end_point: `ws://${id}`,
  region: 'default',
  connections: 0,
  capacity: 100,
  draining: false,
  version: '1',
  started_at: 0,
  ...change,
})
const picks = (instances: Instances, count: number, region?: string) => {
  const counts: Record<string, number> = {}
  for (let i = 0; i < count; i++) {
    const id = instances.pick('auction-push', region, 0)?.instance_id ?? 'none'
    counts[id] = (counts[id] ?? 0) + 1
  }
  return counts
}

describe('picking an instance', () => {
  test('prefers free capacity, and counts those it has just sent', () => {
    const instances = new Instances()
    instances.announced(announcement('busy', { connections: 60 }), 0)
    instances.announced(announcement('idle', { connections: 0 }), 0)
    expect(picks(instances, 60)).toEqual({ idle: 60 })
    expect(picks(instances, 60)).toEqual({ idle: expect.any(Number), busy: expect.any(Number) })
  })

  test('among many, draws two and takes the better: the worst is never taken', () => {
    const instances = new Instances()
    for (let i = 0; i < 5; i++)
      instances.announced(announcement(`i${i}`, { capacity: 1_000_000, connections: i * 1_000 }), 0)
    const counts = picks(instances, 500)
    expect(counts.i4).toBeUndefined()
    expect(counts.i0).toBeGreaterThan(counts.i3 ?? 0)
  })

  test('leaves out the draining and, while others have room, the full', () => {
    const instances = new Instances()
    instances.announced(announcement('draining', { draining: true }), 0)
    instances.announced(announcement('full', { connections: 100 }), 0)
    expect(picks(instances, 1)).toEqual({ full: 1 })
    instances.announced(announcement('room', { connections: 99, capacity: 200 }), 0)
    expect(picks(instances, 50)).toEqual({ room: 50 })
  })

  test('stays in the region, or goes anywhere if nobody is there', () => {
    const instances = new Instances()
    instances.announced(announcement('east', { region: 'east', connections: 50 }), 0)
    instances.announced(announcement('west', { region: 'west' }), 0)
    expect(picks(instances, 10, 'east')).toEqual({ east: 10 })
    expect(Object.keys(picks(instances, 10, 'north'))).toEqual(['west'])
  })
})

describe('silence', () => {
  test('of seven seconds is the end', () => {
    const instances = new Instances()
    instances.connected(0)
    instances.announced(announcement('a'), 1_000)
    expect(instances.live('auction-push', 8_000)).toHaveLength(1)
    expect(instances.live('auction-push', 8_001)).toEqual([])
  })

  test('does not count while NATS is away, and for a while after', () => {
    const instances = new Instances()
    instances.connected(0)
    instances.announced(announcement('a'), 0)
    instances.disconnected()
    expect(instances.live('auction-push', 600_000)).toHaveLength(1)
    instances.connected(600_000)
    expect(instances.live('auction-push', 606_999)).toHaveLength(1)
    expect(instances.live('auction-push', 607_000)).toEqual([])
  })
})

test('all instances are known when each has had the time to announce itself, and remain so', () => {
  const instances = new Instances()
  expect(instances.isComplete(1_000_000)).toBe(false)
  instances.connected(1_000_000)
  expect(instances.isComplete(1_001_999)).toBe(false)
  expect(instances.isComplete(1_002_500)).toBe(true)
  instances.disconnected()
  instances.connected(2_000_000)
  expect(instances.isComplete(2_000_000)).toBe(true)
})

describe('what announcements may take', () => {
  test('a service has so many instances; those that are known go on, and one that is gone makes room', () => {
    const instances = new Instances()
    instances.connected(0)
    for (let i = 0; i < 1_000; i++) expect(instances.announced(announcement(`i${i}`), 0)).toBe(true)
    expect(instances.announced(announcement('more'), 1)).toBe(false)
    expect(instances.announced(announcement('i7', { connections: 5 }), 8_000)).toBe(true)
    expect(instances.announced(announcement('more'), 8_000)).toBe(true)
    expect(instances.live('auction-push', 8_000)).toHaveLength(2)
  })

  test('nothing else of an announcement is kept', () => {
    const instances = new Instances()
    instances.announced({ ...announcement('i'), extra: 'x'.repeat(1_000) } as Announcement, 0)
    expect(JSON.stringify(instances.live('auction-push', 0))).not.toContain('xxx')
  })
})
