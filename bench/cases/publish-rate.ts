import { setTimeout as sleep } from 'node:timers/promises'

/** Calls so many times a second, evenly in steps of a few milliseconds, for so long. Answers how many calls. */
export async function callAtRate(
  perSecond: number,
  seconds: number,
  call: (index: number) => void,
): Promise<number> {
  const start = performance.now()
  const total = perSecond * seconds
  let called = 0
  while (called < total) {
    const due = Math.min(total, Math.floor(((performance.now() - start) / 1_000) * perSecond))
    while (called < due) call(called++)
    await sleep(2)
  }
  return called
}
