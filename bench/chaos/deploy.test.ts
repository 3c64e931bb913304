import { expect, test } from '@jest/globals'
import { deployChaos } from './deploy.ts'

test('a rollout, the short form: bidders have the last bid, class boards the last event, and all are back', async () => {
  const lines: string[] = []
  const failures = await deployChaos({
    apps: ['auction-push', 'campus-socketio'],
    clients: 10,
    drainSeconds: 1,
    drainDelaySeconds: 0,
    seed: 1,
    print: (line) => lines.push(line),
  })
  expect(failures).toEqual([])
  expect(lines.filter((line) => / (1\d|20) reconnects.* 0 sessions lost/.test(line))).toHaveLength(2)
}, 180_000)
