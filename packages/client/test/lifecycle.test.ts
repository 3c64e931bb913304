import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { defaultBackOff, reconnectDelayMs } from '../src/core/back-off.ts'
import { reconnectsAfter } from '../src/core/close-code.ts'
import { alarmAtMs, IDLE, type Input, type Lifecycle, type Policy, step } from '../src/core/lifecycle.ts'

const policy: Policy = {
  closeCodes: { 1012: true, 4403: false },
  backOff: defaultBackOff,
  connectTimeoutMs: 15_000,
  heartbeatMs: 10_000,
  silenceMs: 25_000,
  random: 0.5,
}

/** Steps through the inputs at their times, and answers where that leads and what was done last. */
function run(inputs: readonly (readonly [number, Input])[], change: Partial<Policy> = {}) {
  let life: Lifecycle = IDLE
  let effects: readonly string[] = []
  for (const [atMs, input] of inputs) {
    const [next, done] = step(life, input, atMs, { ...policy, ...change })
    life = next
    effects = done.map(({ type }) => type)
  }
  return { life, effects }
}
const opened = [
  [0, { type: 'connect' }],
  [100, { type: 'prepared', url: 'ws://x' }],
  [200, { type: 'ready' }],
] as const satisfies readonly (readonly [number, Input])[]
const ended = (code: number): Input => ({ type: 'ended', code, reason: '' })

describe('the life of a connection', () => {
  test('the endpoint and the token come first, then the socket', () => {
    expect(run(opened.slice(0, 1)).effects).toEqual(['prepare'])
    expect(run(opened.slice(0, 2)).effects).toEqual(['open'])
    expect(run(opened).life).toMatchObject({ type: 'open', sinceMs: 200 })
  })

  test('after a code that says so, it waits and prepares again', () => {
    const { life } = run([...opened, [1_000, ended(1012)]])
    expect(life).toMatchObject({ type: 'waiting', untilMs: 1_500, failures: 1 })
    expect(run([...opened, [1_000, ended(1012)], [1_499, { type: 'tick' }]]).life.type).toBe('waiting')
    expect(run([...opened, [1_000, ended(1012)], [1_500, { type: 'tick' }]]).effects).toEqual(['prepare'])
  })

  test('after any other code it is over, until it is told to connect', () => {
    expect(run([...opened, [1_000, ended(4403)]]).life.type).toBe('closed')
    expect(run([...opened, [1_000, ended(4403)], [2_000, { type: 'connect' }]]).effects).toEqual(['prepare'])
  })

  test('a connection that ends soon counts as a failure, one that was stable does not', () => {
    const again = [
      [1_500, { type: 'tick' }],
      [1_600, { type: 'ready' }],
    ] as const
    expect(run([...opened, [1_000, ended(1012)], ...again, [1_700, ended(1012)]]).life.failures).toBe(2)
    expect(run([...opened, [1_000, ended(1012)], ...again, [11_600, ended(1012)]]).life.failures).toBe(1)
  })

  test('no attempt lasts longer than its time, and no more are made than allowed', () => {
    const timedOut = [...opened.slice(0, 2), [15_000, { type: 'tick' }]] as const
    expect(run(timedOut)).toMatchObject({ life: { type: 'waiting' }, effects: ['drop'] })
    expect(run(timedOut, { backOff: { ...defaultBackOff, attemptsMax: 1 } }).life.type).toBe('closed')
  })

  test('heartbeats come in time, and silence ends the connection', () => {
    expect(run([...opened, [10_200, { type: 'tick' }]]).effects).toEqual(['heartbeat'])
    const { life, effects } = run([...opened, [25_200, { type: 'tick' }]])
    expect(effects).toEqual(['silent', 'drop'])
    expect(life.type).toBe('waiting')
    const heard = [...opened, [20_000, { type: 'received' }], [25_200, { type: 'tick' }]] as const
    expect(run(heard).life.type).toBe('open')
  })

  test('a process that stood still reads what has come before it judges', () => {
    const late = [...opened, [90_000, { type: 'tick' }]] as const
    expect(run(late).life.type).toBe('open')
    expect(run([...late, [90_500, { type: 'received' }], [91_000, { type: 'tick' }]]).life.type).toBe('open')
    expect(run([...late, [91_000, { type: 'tick' }]]).life.type).toBe('waiting')
  })

  test('reconnect drops what there is, and begins at once', () => {
    expect(run([...opened, [300, { type: 'reconnect' }]]).effects).toEqual(['drop', 'prepare'])
    expect(run([...opened, [300, ended(1012)], [301, { type: 'reconnect' }]]).effects).toEqual(['prepare'])
  })

  test('reconnect does not undo the end, and does not begin what was not begun', () => {
    expect(run([[0, { type: 'reconnect' }]])).toMatchObject({ life: { type: 'idle' }, effects: [] })
    const over = [...opened, [300, ended(4403)], [301, { type: 'reconnect' }]] as const
    expect(run(over)).toMatchObject({ life: { type: 'closed' }, effects: [] })
  })

  test('whatever happens in whatever order, every wait has an end, and close is final', () => {
    const input = fc.oneof(
      fc.constantFrom<Input>(
        { type: 'connect' },
        { type: 'prepared', url: 'ws://x' },
        { type: 'ready' },
        { type: 'received' },
        { type: 'tick' },
        { type: 'reconnect' },
      ),
      fc.constantFrom(1000, 1006, 1012, 4403).map(ended),
    )
    const timed = fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), input), { maxLength: 40 })
    fc.assert(
      fc.property(timed, (inputs) => {
        let atMs = 0
        const at = inputs.map(([afterMs, each]) => {
          atMs += afterMs
          return [atMs, each] as const
        })
        const { life } = run(at)
        const resting = life.type === 'idle' || life.type === 'closed'
        expect(alarmAtMs(life, policy) < Infinity).toBe(!resting)
        if (life.type === 'waiting') expect(life.untilMs - atMs).toBeLessThanOrEqual(30_000)
        const close = { type: 'close', code: 1000, reason: '' } as const
        expect(run([...at, [atMs, close], [atMs + 99_999, { type: 'tick' }]]).life.type).toBe('closed')
      }),
    )
  })
})

test('full jitter: from nothing to a limit that doubles and ends', () => {
  const limits = [0, 1, 2, 3, 4, 5, 60].map((failures) => reconnectDelayMs(failures, defaultBackOff, 1))
  expect(limits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  expect(reconnectDelayMs(5, defaultBackOff, 0)).toBe(0)
})

test('codes that no table names: the network and the server come back, mistakes and operators do not', () => {
  const reconnect = (code: number) => reconnectsAfter(code, {})
  expect([1000, 1001, 1005, 1006, 1011, 1012, 1013].map(reconnect)).toEqual(Array(7).fill(true))
  expect([1002, 1007, 1008, 1009, 3999, 4000, 4999].map(reconnect)).toEqual(Array(7).fill(false))
})
