import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { LogDestination } from './log-destination.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'carillon-log-'))
  file = join(folder, 'log')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const notice = (lines: number) => `dropped ${lines}\n`

test('lines are written at once, in order', () => {
  const fd = openSync(file, 'w')
  const log = new LogDestination(fd, notice)
  for (let i = 0; i < 100; i++) log.write(`${i}\n`)
  closeSync(fd)
  expect(readFileSync(file, 'utf8')).toBe(Array.from({ length: 100 }, (_, i) => `${i}\n`).join(''))
  expect(log.dropped).toBe(0)
})

test('a line that cannot be written is counted, and said before the next one that can', () => {
  // A descriptor that is read only: every write fails.
  closeSync(openSync(file, 'w'))
  const fd = openSync(file, 'r')
  const log = new LogDestination(fd, notice)
  log.write('lost\n')
  log.write('lost\n')
  expect([log.dropped, log.pendingBytes]).toEqual([2, 0])
  // The same descriptor, writable now.
  closeSync(fd)
  expect(openSync(file, 'w')).toBe(fd)
  log.write('kept\n')
  closeSync(fd)
  expect(readFileSync(file, 'utf8')).toBe('dropped 2\nkept\n')
})

test('a line beyond the bound is dropped whatever the reader does', () => {
  const fd = openSync(file, 'w')
  const log = new LogDestination(fd, notice, 10)
  log.write('eleven byte\n')
  log.write('fits\n')
  closeSync(fd)
  expect(readFileSync(file, 'utf8')).toBe('dropped 1\nfits\n')
})
