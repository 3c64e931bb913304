import { expect, test } from '@jest/globals'
import { EventStream } from '../src/core/event-stream.ts'

const nothing = () => {}

test('values come in order, whether the loop waits for them or they for the loop', async () => {
  const stream = new EventStream<number>({}, nothing)
  const first = stream.next()
  stream.push(1)
  stream.push(2)
  expect(await first).toEqual({ done: false, value: 1 })
  expect(await stream.next()).toEqual({ done: false, value: 2 })
})

test('a full queue drops the oldest and counts it', async () => {
  const stream = new EventStream<number>({ capacity: 2 }, nothing)
  for (const value of [1, 2, 3]) stream.push(value)
  stream.end()
  const values: number[] = []
  for await (const value of stream) values.push(value)
  expect(values).toEqual([2, 3])
  expect(stream.dropped).toBe(1)
})

test('or it fails, after what was queued', async () => {
  const stream = new EventStream<number>({ capacity: 1, whenFull: 'fail' }, nothing)
  stream.push(1)
  stream.push(2)
  const values: number[] = []
  const loop = async () => {
    for await (const value of stream) values.push(value)
  }
  await expect(loop()).rejects.toMatchObject({ code: 'queue_full' })
  expect(values).toEqual([1])
})

test('leaving the loop ends the subscription, once', async () => {
  let closed = 0
  const stream = new EventStream<number>({}, () => {
    closed += 1
  })
  stream.push(1)
  stream.push(2)
  for await (const value of stream) if (value === 1) break
  stream.close()
  expect(closed).toBe(1)
  expect(await stream.next()).toEqual({ done: true, value: undefined })
})

test('an error reaches a loop that waits', async () => {
  const stream = new EventStream<number>({}, nothing)
  const next = stream.next()
  stream.end(new Error('over'))
  await expect(next).rejects.toThrow('over')
})
