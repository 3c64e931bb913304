import { setTimeout as sleep } from 'node:timers/promises'
import type { Remote } from '../remote.ts'

/** What the clients recorded of the frames they received. */
export interface ReceivedFrames {
  readonly frames: number
  readonly outOfOrder: number
  readonly latencies: number[]
}

/** Waits until so many frames have arrived, or no longer than a few seconds. */
export async function receiveAll(load: Remote, expected: number): Promise<ReceivedFrames> {
  let received = await load.call<ReceivedFrames>('recordedFrames')
  for (let tries = 0; received.frames < expected && tries < 20; tries++) {
    await sleep(250)
    received = await load.call<ReceivedFrames>('recordedFrames')
  }
  return received
}

/** A histogram of latencies in words: how many fell below each bound, in milliseconds. */
export function histogram(latencies: readonly number[]): string {
  const bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000]
  let below = 0
  const parts = bounds.flatMap((bound) => {
    const count = latencies.reduce((sum, each) => sum + (each <= bound ? 1 : 0), 0)
    const within = count - below
    below = count
    return within > 0 ? [`≤ ${bound} ms: ${within.toLocaleString('en')}`] : []
  })
  const above = latencies.length - below
  return [...parts, ...(above > 0 ? [`above: ${above.toLocaleString('en')}`] : [])].join(' · ')
}
