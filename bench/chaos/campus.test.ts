import { expect, test } from '@jest/globals'
import { campusChaos } from './campus.ts'

/** The short form of `npm run chaos -- campus`. */
test('whatever fails: no durable event is lost, and no push is called acknowledged that was not', async () => {
  const lines: string[] = []
  const seed = Date.now() % 1_000_000
  const failures = await campusChaos({
    devices: 30,
    durationMs: 12_000,
    seed,
    print: (line) => lines.push(line),
  })
  expect({ seed, failures, lines: failures.length > 0 ? lines : [] }).toEqual({
    seed,
    failures: [],
    lines: [],
  })
}, 240_000)
