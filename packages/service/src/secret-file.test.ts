import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { readSecrets, type SecretFile, watchedSecrets } from './secret-file.ts'

const OLD = 'the secret that goes'
const NEW = 'the secret that comes'
const developmentSecret = 'everybody knows this one'

let folder: string
let file: string
let secretFile: SecretFile
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-secrets-'))
  file = join(folder, 'secrets')
  secretFile = { file, variable: 'SOME_SECRET_FILE', developmentSecret }
})
afterEach(() => rmSync(folder, { recursive: true }))

test('one a line, the newest first; a change is seen within a second', () => {
  let nowMs = 0
  writeFileSync(file, `${OLD}\n`)
  const secrets = watchedSecrets(secretFile, () => nowMs)
  expect(secrets()).toEqual([OLD])
  // As a volume of Kubernetes changes: another file takes its place.
  writeFileSync(`${file}.next`, `\n ${NEW} \r\n${OLD}\n`)
  renameSync(`${file}.next`, file)
  nowMs = 999
  expect(secrets()).toEqual([OLD])
  nowMs = 1_000
  expect(secrets()).toEqual([NEW, OLD])
  expect(secrets.problem()).toBeUndefined()
})

test('a bad file leaves the secrets that were read before, and says what is wrong with it', () => {
  let nowMs = 0
  writeFileSync(file, OLD)
  const secrets = watchedSecrets(secretFile, () => nowMs)
  const change = (write: () => void) => {
    write()
    nowMs += 1_000
    return [secrets.problem(), ...secrets()]
  }
  expect(change(() => rmSync(file))).toEqual(['cannot be read (ENOENT)', OLD])
  expect(change(() => writeFileSync(file, '\n'))).toEqual(['holds no secret', OLD])
  const tooShort = 'holds a secret of less than 16 characters'
  expect(change(() => writeFileSync(file, `${NEW}\nshort`))).toEqual([tooShort, OLD])
  expect(change(() => writeFileSync(file, developmentSecret))).toEqual(['holds the development secret', OLD])
  expect(change(() => writeFileSync(file, NEW))).toEqual([undefined, NEW])
})

test('what is no list of secrets is said, and nothing of it is repeated', () => {
  expect(readSecrets(secretFile)).toBe('cannot be read (ENOENT)')
  expect(readSecrets({ ...secretFile, file: folder })).toBe('cannot be read (EISDIR)')
  writeFileSync(file, ' \n\n')
  expect(readSecrets(secretFile)).toBe('holds no secret')
  writeFileSync(file, 'x\n'.repeat(9))
  expect(readSecrets(secretFile)).toBe('holds more than 8 secrets')
  writeFileSync(file, 'x'.repeat(70_000))
  expect(readSecrets(secretFile)).toBe('is too large')
  expect(() => watchedSecrets(secretFile)).toThrow('is too large')
})
