import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from '@jest/globals'

const root = resolve(import.meta.dirname, '..')
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => /^(apps|packages)\/.*\.ts$/.test(file))
const imports = files.flatMap((file) => {
  const text = readFileSync(resolve(root, file), 'utf8')
  return [...text.matchAll(/(?:from|import\()\s*'([^'.][^']*)'/g)].map(([, module]) => ({
    file,
    module: module as string,
  }))
})
const sources = imports.filter(({ file }) => !/\.test\.ts$|\/test\/|^packages\/testkit/.test(file))
const whoImports = (pattern: RegExp) =>
  [
    ...new Set(
      sources
        .filter(({ module }) => pattern.test(module))
        .map(({ file }) => file.split('/').slice(0, 2).join('/')),
    ),
  ].sort()

describe('imports point one way', () => {
  test('apps import no apps, packages import no apps', () => {
    expect(
      sources.filter(({ module }) => /auction-push|endpoint-discovery|quote-interact/.test(module)),
    ).toEqual([])
  })

  test('one package knows NATS, one knows jose, and fan-out knows no socket', () => {
    expect(whoImports(/^(@nats-io\/|nats$)/)).toEqual(['packages/bus'])
    expect(whoImports(/^jose$/)).toEqual(['packages/auth'])
    expect(
      sources.filter(
        ({ file, module }) => file.startsWith('packages/fanout') && /^(ws|node:net|fastify)/.test(module),
      ),
    ).toEqual([])
  })

  test('events knows neither the codec nor NATS', () => {
    const ours = sources.filter(
      ({ file, module }) => file.startsWith('packages/events') && module.startsWith('@'),
    )
    expect(ours).toEqual([])
  })

  test('subjects are written in packages/events alone', () => {
    const literal = /['"`](auction|quote|voice|im|campus|control|discovery)\.[\w{*$]+\./
    const strangers = files.filter(
      (file) =>
        !file.startsWith('packages/events/') &&
        !/\.test\.ts$|\/test\//.test(file) &&
        literal.test(readFileSync(resolve(root, file), 'utf8')),
    )
    expect(strangers).toEqual([])
  })
})

test('the lock file names no registry', () => {
  expect(readFileSync(resolve(root, 'pnpm-lock.yaml'), 'utf8')).not.toMatch(/https?:\/\//)
})
