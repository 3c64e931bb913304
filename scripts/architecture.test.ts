import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve, sep } from 'node:path'
import { services } from '@carillon/cli'
import { describe, expect, test } from '@jest/globals'

const root = resolve(import.meta.dirname, '..')
const apps = readdirSync(resolve(root, 'apps')).filter((name) =>
  existsSync(resolve(root, 'apps', name, 'package.json')),
)
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => /^(apps|packages)\/.*\.tsx?$/.test(file))
const imports = files.flatMap((file) => {
  const text = readFileSync(resolve(root, file), 'utf8')
  return [...text.matchAll(/(?:from|import\()\s*'([^'.][^']*)'/g)].map(([, module]) => ({
    file,
    module: module as string,
  }))
})
const relativeImports = files.flatMap((file) =>
  [...readFileSync(resolve(root, file), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']*)'/g)].map(
    ([, module]) => ({ file, module: module as string }),
  ),
)
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
    const appNames = new RegExp(`(^|/)(${apps.join('|')})(/|$)`)
    expect(sources.filter(({ module }) => appNames.test(module))).toEqual([])
  })

  test('no file reaches into the folder of another app or package', () => {
    const room = (path: string) => relative(root, path).split(sep).slice(0, 2).join('/')
    const reaching = relativeImports.filter(
      ({ file, module }) => room(resolve(root, file)) !== room(resolve(root, dirname(file), module)),
    )
    expect(reaching).toEqual([])
  })

  test('one package knows NATS, one knows jose, and fan-out knows no socket', () => {
    expect(whoImports(/^(@nats-io\/|nats$)/)).toEqual(['packages/bus'])
    expect(whoImports(/^jose$/)).toEqual(['packages/auth'])
    expect(whoImports(/^@opentelemetry\//)).toEqual(['packages/tracing'])
    expect(
      sources.filter(
        ({ file, module }) => file.startsWith('packages/fanout') && /^(ws|node:net|fastify)/.test(module),
      ),
    ).toEqual([])
  })

  test('the client is for bundles: it knows no service and no other package, and each entry its own library', () => {
    const outside = sources.filter(({ file }) => file.startsWith('packages/client/'))
    const libraries = outside.map(({ file, module }) => {
      const [, , , entry] = file.split('/')
      return `${entry}: ${module.startsWith('@') ? module.split('/').slice(0, 2).join('/') : module}`
    })
    expect([...new Set(libraries)].sort()).toEqual([
      'campus: socket.io-client',
      'im: pbf',
      'voice: @noble/hashes',
    ])
  })

  test('events knows neither the codec nor NATS', () => {
    const ours = sources.filter(
      ({ file, module }) => file.startsWith('packages/events') && module.startsWith('@'),
    )
    expect(ours).toEqual([])
  })

  test('subjects are written in packages/events alone', () => {
    const literal = /['"`](auction|quote|voice|im|campus|control|discovery|audit)\.[\w{*$]+\./
    const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
    const misplaced = files.filter(
      (file) =>
        !file.startsWith('packages/events/') &&
        !/\.test\.ts$|\/test\//.test(file) &&
        literal.test(withoutComments(readFileSync(resolve(root, file), 'utf8'))),
    )
    expect(misplaced).toEqual([])
  })
})

test('what is imported is declared: an image holds nothing else', () => {
  const undeclared = sources.filter(({ file, module }) => {
    if (module.startsWith('node:') || !/^[@a-z]/.test(module)) return false
    // The console's page is a package of its own, and a bundle: an image holds none of what it was built from.
    if (file.startsWith('apps/console/web/')) return false
    const folder = file.split('/').slice(0, 2).join('/')
    const { name, dependencies, optionalDependencies, peerDependencies } = JSON.parse(
      readFileSync(resolve(root, folder, 'package.json'), 'utf8'),
    )
    const wanted = module.split('/', module.startsWith('@') ? 2 : 1).join('/')
    return !(wanted in { [name]: '', ...dependencies, ...optionalDependencies, ...peerDependencies })
  })
  expect(undeclared).toEqual([])
})

test('the tool knows every app, and nothing else', () => {
  const deployable = apps.filter((name) => existsSync(resolve(root, 'apps', name, 'src', 'main.ts')))
  expect(services.map(({ name }) => name).sort()).toEqual(deployable.sort())
})

test('the lock file names no registry', () => {
  expect(readFileSync(resolve(root, 'pnpm-lock.yaml'), 'utf8')).not.toMatch(/https?:\/\//)
})
