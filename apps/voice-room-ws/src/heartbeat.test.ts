import { expect, test } from '@jest/globals'
import { StallDetector } from './heartbeat.ts'

test('after a stall, what waits to be read is given a moment; else nothing waits', async () => {
  let nowMs = 0
  const stall = new StallDetector({ now: () => nowMs, monotonic: () => nowMs })
  stall.start()
  const isWaiting = async () => {
    let done = false
    const caughtUp = stall.caughtUp().then(() => {
      done = true
    })
    await Promise.resolve()
    await Promise.resolve()
    await Promise.resolve()
    const waiting = !done
    await caughtUp
    return waiting
  }
  try {
    expect(await isWaiting()).toBe(false)
    nowMs += 3_000
    expect(await isWaiting()).toBe(true)
    for (let i = 0; i < 10; i++) {
      nowMs += 300
      void stall.resumedAtMs
    }
    expect(await isWaiting()).toBe(false)
  } finally {
    stall.stop()
  }
})
