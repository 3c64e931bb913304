import { TimingWheel } from '@carillon/service'
import { expect, test } from '@jest/globals'
import { UserShares } from './user-share.ts'

function setUp() {
  let now = 0
  const wheel = new TimingWheel({ monotonic: () => now })
  const limits = { framesPerSecondPerUserMax: 10, framesBurstPerUserMax: 20 }
  const shares = new UserShares(limits, wheel, () => now)
  const move = (ms: number) => {
    now += ms
    wheel.advance()
  }
  const takeAll = (share: ReturnType<typeof shares.acquire>) => {
    let taken = 0
    while (shares.takeFrame(share)) taken += 1
    return taken
  }
  return { shares, move, takeAll, wheel }
}

test('connections of one user share one budget, users do not', () => {
  const { shares, takeAll, move } = setUp()
  const [one, two, other] = [shares.acquire('u'), shares.acquire('u'), shares.acquire('v')]
  expect(one).toBe(two)
  expect([takeAll(one), takeAll(two), takeAll(other)]).toEqual([20, 0, 20])
  move(1_000)
  expect([takeAll(two), takeAll(one)]).toEqual([10, 0])
})

test('who reconnects goes on with what was left, and nobody is remembered for ever', () => {
  const { shares, takeAll, move, wheel } = setUp()
  expect(takeAll(shares.acquire('u'))).toBe(20)
  shares.release('u')
  expect(takeAll(shares.acquire('u'))).toBe(0)
  shares.release('u')
  move(1_000)
  expect(shares.size).toBe(1)
  move(1_200)
  expect([shares.size, wheel.size]).toEqual([0, 0])
  shares.acquire('u')
  shares.release('u')
  expect([shares.size, wheel.size]).toEqual([0, 0])
})
