import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Deadline, TimingWheel } from './timing-wheel.ts'

function setUp() {
  let now = 1_000_050
  const wheel = new TimingWheel({ monotonic: () => now })
  const fired: string[] = []
  const deadline = (name: string, onDue: () => void = () => {}) =>
    new Deadline({
      due: () => {
        fired.push(name)
        onDue()
      },
    })
  const move = (ms: number) => {
    now += ms
    wheel.advance()
  }
  return { wheel, fired, deadline, move }
}

describe('the timing wheel', () => {
  test('fires within one tick, never early', () => {
    const { wheel, fired, deadline, move } = setUp()
    wheel.set(deadline('a'), 500)
    move(499)
    expect(fired).toEqual([])
    move(101)
    expect(fired).toEqual(['a'])
    expect(wheel.size).toBe(0)
  })

  test('keeps deadlines beyond one turn, and survives a jump of many turns', () => {
    const { wheel, fired, deadline, move } = setUp()
    wheel.set(deadline('hour'), 3_600_000)
    wheel.set(deadline('soon'), 10)
    for (let i = 0; i < 3_500; i++) move(1_000)
    expect(fired).toEqual(['soon'])
    move(86_400_000)
    expect(fired).toEqual(['soon', 'hour'])
  })

  test('a deadline may be moved and cleared', () => {
    const { wheel, fired, deadline, move } = setUp()
    const [moved, cleared] = [deadline('moved'), deadline('cleared')]
    wheel.set(moved, 100)
    wheel.set(cleared, 100)
    wheel.set(moved, 5_000)
    wheel.clear(cleared)
    wheel.clear(cleared)
    move(1_000)
    expect(fired).toEqual([])
    move(5_000)
    expect(fired).toEqual(['moved'])
  })

  test('one that fires may clear another that is due, and set itself again', () => {
    const { wheel, fired, deadline, move } = setUp()
    const second = deadline('second')
    const first: Deadline = deadline('first', () => {
      wheel.clear(second)
      wheel.set(first, 0)
    })
    wheel.set(first, 100)
    wheel.set(second, 100)
    move(300)
    expect(fired).toEqual(['first'])
    move(200)
    expect(fired).toEqual(['first', 'first'])
    expect(wheel.size).toBe(1)
  })

  test('any deadlines fire once, in their time, whatever the steps of the clock', () => {
    const delays = fc.array(fc.nat(400_000), { maxLength: 50 })
    const steps = fc.array(fc.integer({ min: 1, max: 120_000 }), { maxLength: 50 })
    fc.assert(
      fc.property(delays, steps, (wanted, moves) => {
        const { wheel, fired, deadline, move } = setUp()
        for (const [i, delay] of wanted.entries()) wheel.set(deadline(String(i)), delay)
        let elapsed = 0
        for (const step of moves) {
          elapsed += step
          move(step)
          const due = wanted.flatMap((delay, i) => (delay <= elapsed - 200 ? [String(i)] : []))
          const early = wanted.flatMap((delay, i) => (delay > elapsed ? [String(i)] : []))
          expect(fired).toEqual(expect.arrayContaining(due))
          expect(fired.filter((name) => early.includes(name))).toEqual([])
        }
        expect(new Set(fired).size).toBe(fired.length)
      }),
    )
  })
})
