import { eventually } from '@carillon/testkit'
import { expect, test } from '@jest/globals'
import { CommandQueue } from '../src/auction/command-queue.ts'

test('answers go to their commands in order, and no more than 64 commands wait for theirs', () => {
  const sent: string[] = []
  const answers: string[] = []
  const queue = new CommandQueue((frame) => void sent.push(frame))
  for (let i = 0; i < 70; i++) {
    queue.add({ frame: String(i), answered: (refusal) => answers.push(`${i} ${refusal?.code ?? 'success'}`) })
  }
  expect(sent).toHaveLength(64)
  queue.answered()
  queue.answered({ code: 'too_many_subscriptions', message: '' })
  expect(answers).toEqual(['0 success', '1 too_many_subscriptions'])
  expect(sent).toHaveLength(66)
  queue.clear()
})

test('where one frame was not looked at, all are sent again, in their order', async () => {
  const sent: string[] = []
  const answers: string[] = []
  const queue = new CommandQueue((frame) => void sent.push(frame))
  for (const frame of ['a', 'b', 'c']) queue.add({ frame, answered: () => answers.push(frame) })
  queue.rateLimited()
  queue.add({ frame: 'd', answered: () => answers.push('d') })
  // Those two answers are of whichever two were looked at.
  queue.answered()
  expect(sent).toEqual(['a', 'b', 'c'])
  queue.answered()
  await eventually(() => sent.length === 7)
  expect(sent.slice(3)).toEqual(['a', 'b', 'c', 'd'])
  for (let i = 0; i < 4; i++) queue.answered()
  expect(answers).toEqual(['a', 'b', 'c', 'd'])
})
