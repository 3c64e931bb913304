import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { OrderedActions } from './ordered-actions.ts'

test('nothing waits: done at once', () => {
  const actions = new OrderedActions()
  const done: number[] = []
  actions.add(() => done.push(1))
  actions.add(() => done.push(2))
  expect([done, actions.size]).toEqual([[1, 2], 0])
})

test('whatever the order in which promises are kept, actions are done in theirs', async () => {
  const step = fc.record({ waits: fc.boolean(), keptAt: fc.nat(20) })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const actions = new OrderedActions()
      const done: number[] = []
      const kept = new Set<number>()
      const keep: { readonly at: number; readonly resolve: () => void }[] = []
      for (const [i, { waits, keptAt }] of steps.entries()) {
        const after = waits
          ? new Promise<void>((resolve) =>
              keep.push({
                at: keptAt,
                resolve: () => {
                  kept.add(i)
                  resolve()
                },
              }),
            )
          : undefined
        actions.add(() => {
          if (waits) expect(kept.has(i)).toBe(true)
          done.push(i)
        }, after)
      }
      for (const { resolve } of keep.sort((a, b) => a.at - b.at)) {
        resolve()
        await Promise.resolve()
      }
      await new Promise((resolve) => setImmediate(resolve))
      expect(done).toEqual(steps.map((_, i) => i))
      expect(actions.size).toBe(0)
    }),
  )
})

test('what waits at the end is done then, in order and once, and what comes later at once', async () => {
  const actions = new OrderedActions()
  const done: string[] = []
  let keep: () => void = () => {}
  actions.add(() => done.push('waited'), new Promise((resolve) => (keep = resolve)))
  actions.add(() => done.push('behind it'))
  actions.finish()
  expect([done, actions.size]).toEqual([['waited', 'behind it'], 0])
  actions.add(() => done.push('later'))
  keep()
  await new Promise((resolve) => setImmediate(resolve))
  expect(done).toEqual(['waited', 'behind it', 'later'])
})
