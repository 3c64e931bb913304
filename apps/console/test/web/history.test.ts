import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { MeasuredHistory } from '../../web/src/live/history.ts'
import { fleetFigures, groupInstances } from '../../web/src/overview/fleet.ts'
import { FakeFleet } from './fake-fleet.ts'

describe('the measured history', () => {
  test('keeps columns of one length, whatever comes and goes', () => {
    const services = fc.dictionary(
      fc.constantFrom('a', 'b', 'c'),
      fc.record({ connections: fc.nat(), deliveries_per_s: fc.nat() }, { requiredKeys: [] }),
    )
    const steps = fc.array(fc.record({ passedMs: fc.integer({ min: 1, max: 400_000 }), services }))
    fc.assert(
      fc.property(steps, (all) => {
        const history = new MeasuredHistory()
        let at = 1_000_000
        for (const { passedMs, services } of all) {
          at += passedMs
          history.append({ at, services })
          for (const service of [undefined, 'a', 'b', 'c'])
            expect(history.column(service, 'connections', 'sum')).toHaveLength(history.at.length)
          expect(history.at.at(-1)).toBe(at)
          expect(at - (history.at[0] as number)).toBeLessThanOrEqual(900_000)
        }
        expect(history.at).toEqual([...new Set(history.at)].sort((one, other) => one - other))
      }),
    )
  })

  test('sums rates of services, and shows the slowest percentile', () => {
    const history = new MeasuredHistory()
    const one = { connections: 3, publish_to_write_p99_ms: 2 }
    history.append({ at: 1_000, services: { a: one, b: { connections: 4, publish_to_write_p99_ms: 9 } } })
    history.append({ at: 2_000, services: { a: one } })
    expect(history.column(undefined, 'connections', 'sum')).toEqual([7, 3])
    expect(history.column(undefined, 'publish_to_write_p99_ms', 'max')).toEqual([9, 2])
    expect(history.column('b', 'connections', 'sum')).toEqual([4, null])
    expect(history.column('b', 'evictions_per_s', 'sum')).toEqual([null, null])
  })

  test('where nobody looked there is a gap', () => {
    const history = new MeasuredHistory()
    history.replace({ at: [1_000, 2_000, 60_000], services: { a: { connections: [1, 2, 3] } } })
    expect(history.at).toEqual([1_000, 2_000, 3_000, 60_000])
    expect(history.column('a', 'connections', 'sum')).toEqual([1, 2, null, 3])
  })

  test('forgets what is older than a quarter of an hour, and does not go back', () => {
    const history = new MeasuredHistory()
    for (let second = 1; second <= 1_200; second += 1)
      history.append({ at: second * 1_000, services: { a: { connections: second } } })
    expect(history.at).toHaveLength(901)
    history.append({ at: 5_000, services: { a: { connections: 0 } } })
    expect(history.column('a', 'connections', 'sum').at(-1)).toBe(1_200)
  })
})

test('instances are grouped by service, those of a region together', () => {
  const groups = groupInstances(new FakeFleet(16).instances)
  expect(groups.map(({ service }) => service)).toEqual([...groups.map(({ service }) => service)].sort())
  expect(groups.find(({ service }) => service === 'im-messages')?.capacity).toBeUndefined()
  expect(groups.find(({ service }) => service === 'auction-push')?.capacity).toBe(150_000)
  for (const { instances } of groups)
    expect(instances.map(({ region }) => region)).toEqual(instances.map(({ region }) => region).sort())
})

test('the fleet’s figures are of those who measure', () => {
  const snapshot = new FakeFleet(7).step(1_000_000)
  const { instances, capacity, notReady } = fleetFigures(snapshot)
  expect({ instances, capacity, notReady }).toEqual({ instances: 7, capacity: 250_000, notReady: 0 })
  expect(fleetFigures({ ...snapshot, services: {} }).p99Ms).toBeNull()
})
