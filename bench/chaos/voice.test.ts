import { expect, test } from '@jest/globals'
import { voiceChaos } from './voice.ts'

test('voice, the short form: one of three instances is killed, then one is frozen; its users are evicted once', async () => {
  const lines: string[] = []
  const failures = await voiceChaos({
    instances: 3,
    users: 60,
    rooms: 10,
    environment: { VOICE_LEASE_MS: '2000', VOICE_RELAY_TIMEOUT_MS: '1000' },
    faults: ['kill', 'stop'],
    inTurn: true,
    rounds: 2,
    seed: 1,
    natsServers: 1,
    stoppedMs: 5_000,
    publishMs: 3_000,
    print: (line) => lines.push(line),
  })
  expect(failures).toEqual([])
  expect(lines.filter((line) => line.includes('held')).length).toBe(2)
}, 180_000)
