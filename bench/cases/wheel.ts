import { Deadline, TimingWheel } from '@carillon/service'
import { type CaseResult, ms } from '../result.ts'

const DEADLINES = 50_000

/** What one timing wheel costs with the idle limits of 50,000 connections. */
export async function wheel(): Promise<CaseResult> {
  let time = 0
  const timed = new TimingWheel({ monotonic: () => time })
  let fired = 0
  const deadlines = Array.from({ length: DEADLINES }, () => {
    const deadline: Deadline = new Deadline({
      due() {
        fired += 1
        timed.set(deadline, 30_000)
      },
    })
    return deadline
  })
  const setStart = performance.now()
  for (const [i, deadline] of deadlines.entries()) timed.set(deadline, 30_000 + (i % 30_000))
  const setMs = performance.now() - setStart
  const turnStart = performance.now()
  const seconds = 120
  for (let tick = 0; tick < seconds * 10; tick++) {
    time += 100
    timed.advance()
  }
  const turnMs = performance.now() - turnStart
  return {
    title: 'One timing wheel for 50,000 connections',
    how: `${seconds} s of 100 ms ticks; every connection's 30 s limit falls due and is set again.`,
    rows: [
      { what: 'setting a deadline', measured: `${((setMs * 1_000) / DEADLINES).toFixed(2)} µs` },
      {
        what: `CPU for one second of ticks (${Math.round(fired / seconds)} due in it)`,
        measured: ms(turnMs / seconds),
      },
    ],
  }
}
