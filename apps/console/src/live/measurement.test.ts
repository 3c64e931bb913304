import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Measurement, percentile, readingOf } from './measurement.ts'
import { valuesOf } from './series.ts'

const reading = (uptime_ms: number, samples: Record<string, number>) => readingOf({ uptime_ms, samples })
const deliveries = 'carillon_deliveries_total'
const closed = 'carillon_connections_closed_total'
const bucket = (le: string) => `carillon_publish_to_write_seconds_bucket{le="${le}"}`

describe('the rate of a counter', () => {
  test('is its growth by the time between the answers, as the instance measured it', () => {
    const before = reading(10_000, { [deliveries]: 100 })
    const now = reading(12_000, { [deliveries]: 700 })
    expect(Measurement.between(now, before, 1_000).rate(deliveries)).toBe(300)
  })

  test('is over all labels, new ones included, or over those that are asked for', () => {
    const before = reading(1_000, { [`${closed}{code="1000"}`]: 5 })
    const now = reading(2_000, { [`${closed}{code="1000"}`]: 6, [`${closed}{code="4001"}`]: 2 })
    const measurement = Measurement.between(now, before, 1_000)
    expect(measurement.rate(closed)).toBe(3)
    expect(measurement.rate(closed, 'code="4001"')).toBe(2)
  })

  test('begins with the second answer where the instance was running before', () => {
    expect(Measurement.between(reading(60_000, { [deliveries]: 9 }), undefined, 1_000).rate(deliveries)).toBe(
      undefined,
    )
    expect(
      Measurement.between(reading(500, { [deliveries]: 9 }), undefined, undefined).rate(deliveries),
    ).toBe(undefined)
  })

  test('counts from nothing where the instance has started since the last round', () => {
    expect(Measurement.between(reading(500, { [deliveries]: 9 }), undefined, 1_000).rate(deliveries)).toBe(18)
  })

  test('of a process that was started again under its id is never negative', () => {
    const before = reading(60_000, { [deliveries]: 1_000 })
    expect(Measurement.between(reading(800, { [deliveries]: 8 }), before, 1_000).rate(deliveries)).toBe(10)
    expect(Measurement.between(reading(5_000, { [deliveries]: 8 }), before, 1_000).rate(deliveries)).toBe(
      undefined,
    )
  })
})

describe('a percentile', () => {
  test('comes from the sum of all instances, not from an average of theirs', () => {
    const fast = new Map([
      [0.001, 99],
      [1, 99],
      [Number.POSITIVE_INFINITY, 99],
    ])
    const slow = new Map([
      [0.001, 0],
      [1, 1],
      [Number.POSITIVE_INFINITY, 1],
    ])
    expect(percentile([fast, slow], 0.5)).toBeLessThanOrEqual(0.001)
    expect(percentile([fast, slow], 0.995)).toBeGreaterThan(0.4)
    expect(percentile([], 0.5)).toBe(undefined)
    expect(percentile([new Map([[1, 0]])], 0.5)).toBe(undefined)
  })

  test('lies between the bounds, and does not fall as the quantile grows', () => {
    const counts = fc.array(fc.nat(1_000), { minLength: 4, maxLength: 4 })
    const quantile = fc.double({ min: 0.01, max: 1, noNaN: true })
    fc.assert(
      fc.property(fc.array(counts, { minLength: 1, maxLength: 5 }), quantile, quantile, (instances, p, q) => {
        const bounds = [0.01, 0.1, 1, Number.POSITIVE_INFINITY]
        const buckets = instances.map((increases) => {
          let total = 0
          return new Map(
            increases.map((increase, i) => {
              total += increase
              return [bounds[i] as number, total]
            }),
          )
        })
        const [low, high] = [percentile(buckets, Math.min(p, q)), percentile(buckets, Math.max(p, q))]
        if (low === undefined || high === undefined) {
          expect(instances.flat().every((count) => count === 0)).toBe(true)
          return
        }
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeLessThanOrEqual(1)
        expect(high).toBeGreaterThanOrEqual(low)
      }),
    )
  })
})

test('the values of a service are those of its instances together; what nobody measured is left out', () => {
  const measured = (connections: number, seconds: number) => ({
    lagP99Ms: seconds,
    measurement: Measurement.between(
      reading(2_000, {
        carillon_connections: connections,
        [deliveries]: 50,
        [bucket('0.001')]: 10,
        [bucket('+Inf')]: 10,
      }),
      reading(1_000, { [deliveries]: 40, [bucket('0.001')]: 0, [bucket('+Inf')]: 0 }),
      1_000,
    ),
  })
  const values = valuesOf('auction-push', [measured(3, 5), measured(4, 7)])
  expect(values).toEqual({
    connections: 7,
    deliveries_per_s: 20,
    publish_to_write_p50_ms: 0.5,
    publish_to_write_p99_ms: 0.99,
    event_loop_lag_p99_ms: 7,
  })
})
