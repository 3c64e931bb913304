import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { readSecrets, watchedSecrets } from './secret-file.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-secrets-'))
  file = join(folder, 'secrets')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('one a line, the newest first; a change is seen within a second', () => {
  let nowMs = 0
  writeFileSync(file, 'old\n')
  const secrets = watchedSecrets(file, () => nowMs)
  expect(secrets()).toEqual(['old'])
  // As a volume of Kubernetes changes: another file takes its place.
  writeFileSync(`${file}.next`, '\n new \r\nold\n')
  renameSync(`${file}.next`, file)
  nowMs = 999
  expect(secrets()).toEqual(['old'])
  nowMs = 1_000
  expect(secrets()).toEqual(['new', 'old'])
  rmSync(file)
  nowMs = 2_000
  expect(secrets()).toEqual(['new', 'old'])
  writeFileSync(file, '\n')
  nowMs = 3_000
  expect(secrets()).toEqual(['new', 'old'])
  writeFileSync(file, 'new')
  nowMs = 4_000
  expect(secrets()).toEqual(['new'])
})

test('what is no list of secrets is said, and nothing of it is repeated', () => {
  expect(readSecrets(file)).toBe('cannot be read (ENOENT)')
  expect(readSecrets(folder)).toBe('cannot be read (EISDIR)')
  writeFileSync(file, ' \n\n')
  expect(readSecrets(file)).toBe('holds no secret')
  writeFileSync(file, 'x\n'.repeat(9))
  expect(readSecrets(file)).toBe('holds more than 8 secrets')
  writeFileSync(file, 'x'.repeat(70_000))
  expect(readSecrets(file)).toBe('is too large')
  expect(() => watchedSecrets(file)).toThrow('is too large')
})
