import { TimingWheel } from '@carillon/service'
import { expect, test } from '@jest/globals'
import { Pacer } from './pacer.ts'

test('a least time between two messages of a topic; the newest of those between is kept', () => {
  let now = 0
  const wheel = new TimingWheel({ monotonic: () => now })
  const published: string[] = []
  const pacer = new Pacer((_topic, frame) => void published.push(frame.toString()), wheel)
  const offer = (text: string) => pacer.offer(text[0] as string, Buffer.from(text))
  const move = (ms: number) => {
    now += ms
    wheel.advance()
  }
  for (const text of ['a1', 'a2']) offer(text)
  expect(published.splice(0)).toEqual(['a1', 'a2'])

  pacer.intervalMs = 500
  for (const text of ['a3', 'a4', 'a5', 'b1']) offer(text)
  expect(published.splice(0)).toEqual(['a3', 'b1'])
  move(700)
  expect(published.splice(0)).toEqual(['a5'])
  expect(pacer.conflated).toBe(1)
  offer('a6')
  pacer.flush('a')
  expect(published.splice(0)).toEqual(['a6'])
  move(700)
  move(700)
  expect(wheel.size).toBe(0)
  offer('a7')
  expect(published).toEqual(['a7'])
})

test('what some have already goes out at once, and what was held before it never comes after it', () => {
  const wheel = new TimingWheel({ monotonic: () => 0 })
  const published: string[] = []
  const pacer = new Pacer((_topic, frame) => void published.push(frame.toString()), wheel)
  pacer.intervalMs = 500
  for (const text of ['1', '2']) pacer.offer('a', Buffer.from(text))
  pacer.offer('a', Buffer.from('3'), { except: new Set() })
  pacer.flush('a')
  expect(published).toEqual(['1', '3'])
  expect(pacer.conflated).toBe(1)
})
