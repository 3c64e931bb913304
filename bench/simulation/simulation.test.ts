import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { fullJitter, withoutJitter } from './back-off.ts'
import { Fleet, type FleetSize } from './fleet.ts'
import { seededRandom } from './random.ts'
import { simulate, sizes } from './scenarios.ts'
import { outcomeTable } from './tables.ts'

const small: FleetSize = { clients: 20_000, instances: 10, capacity: 5_000, weight: 1, discoveries: 3 }

test('docs/scaling.md has what npm run simulate prints of a million connections', () => {
  const page = readFileSync(new URL('../../docs/scaling.md', import.meta.url), 'utf8')
  expect(page).toContain(outcomeTable(simulate(sizes['1 million'])))
})

describe('a fleet', () => {
  test('gives everybody who lost an instance another one, evenly', () => {
    const fleet = new Fleet(small, 1)
    fleet.fill()
    const [gateway] = fleet.gateways
    if (gateway === undefined) throw new Error('there is a gateway')
    fleet.kill(gateway)
    expect(fleet.disconnected).toBe(2_000)
    fleet.run(60_000)
    expect(fleet.disconnected).toBe(0)
    expect(gateway.connections).toBe(0)
    const others = fleet.gateways.slice(1).map(({ connections }) => connections)
    expect(others.reduce((sum, each) => sum + each, 0)).toBe(20_000)
    expect(Math.max(...others) / (20_000 / 9)).toBeLessThan(1.1)
  })

  test('cannot take more than it has room for', () => {
    const fleet = new Fleet({ ...small, capacity: 2_100 }, 1)
    fleet.fill()
    fleet.killZone(0)
    fleet.run(30_000)
    // Six of ten live: 12,600 places.
    expect(fleet.disconnected).toBe(20_000 - 6 * 2_100)
  })

  test('is the same for the same seed', () => {
    const run = (seed: number) => {
      const fleet = new Fleet(small, seed)
      fleet.connectAll(5_000)
      fleet.run(60_000)
      return fleet.gateways.map(({ connections }) => connections)
    }
    expect(run(7)).toEqual(run(7))
    expect(run(7)).not.toEqual(run(8))
  })
})

test('full jitter is anything up to twice as much each time, up to a cap', () => {
  const random = seededRandom(3)
  for (let attempt = 0; attempt < 12; attempt++) {
    const waits = Array.from({ length: 500 }, () => fullJitter(attempt, random))
    const most = withoutJitter(attempt, random)
    expect(Math.max(...waits)).toBeLessThan(most)
    expect(Math.max(...waits)).toBeGreaterThan(most * 0.9)
    expect(Math.min(...waits)).toBeLessThan(most * 0.1)
  }
})
