import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { asyncapi, contract } from '@carillon/events'
import { env } from '@carillon/service'
import { tableRows } from '@carillon/testkit'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { stringify } from 'yaml'
import { withReference } from './operations.ts'
import { type ServiceSource, serviceSources } from './services.ts'
import { variablesText } from './variables.ts'

const root = new URL('../../', import.meta.url)
const page = (path: string) => readFileSync(new URL(path, root), 'utf8')

/** Variables that nats-server, the tool or the tests read, and no service. */
const elsewhere =
  /^(OTEL_EXPORTER_OTLP_HEADERS|OTEL_SERVICE_NAME|OTEL_RESOURCE_ATTRIBUTES|NATS_SERVER|NODE_NAME|CLUSTER_ROUTES|STORE_FOLDER|ROUTES_PASSWORD|[A-Z_]+_PASSWORD|PASSWORD)$/

let sources: readonly ServiceSource[]
beforeAll(async () => {
  sources = await serviceSources()
})

describe('what npm run docs writes is what is committed', () => {
  // Some metrics of a process exist on Linux alone.
  const onLinux = process.platform === 'linux' ? test : test.skip
  onLinux('docs/operations.md (on Linux): every variable, close code and metric of every service', () => {
    const operations = page('docs/operations.md')
    expect(withReference(operations, sources)).toBe(operations)
  })

  test('docs/asyncapi.yaml', () => {
    const { version } = JSON.parse(page('package.json'))
    const text = stringify(asyncapi(contract, version), { aliasDuplicateObjects: false })
    expect(page('docs/asyncapi.yaml')).toBe(text)
  })
})

test('the environment is read through the schemas and nowhere else', async () => {
  // The tool and the testkit are no services.
  const packages = readdirSync(new URL('packages/', root)).filter(
    (name) => !['cli', 'testkit'].includes(name),
  )
  const folders = [
    ...packages.map((name) => `packages/${name}/`),
    ...sources.map(({ name }) => `apps/${name}/`),
  ]
  const readers: string[] = []
  for (const folder of folders) {
    const files = readdirSync(new URL(`${folder}src/`, root), { recursive: true, encoding: 'utf8' })
    for (const file of files.filter((name) => name.endsWith('.ts'))) {
      const text = await readFile(new URL(`${folder}src/${file}`, root), 'utf8')
      if (text.includes('process.env')) readers.push(`${folder}src/${file}`)
    }
  }
  expect(readers).toEqual(['packages/service/src/run.ts'])
})

test('what a check of a configuration looks at is in the service’s schema', () => {
  for (const { name, variables } of sources) {
    const config = page(`apps/${name}/src/config.ts`)
    const named = config.match(/\b(?:[A-Z][A-Z0-9]*_){1,}[A-Z0-9]+\b/g) ?? []
    const constants = [...config.matchAll(/const ([A-Z_]+) =|\b(DEVELOPMENT_SECRET)\b/g)].flatMap((match) =>
      match.slice(1),
    )
    const unknown = named.filter((each) => !(each in variables.properties) && !constants.includes(each))
    expect([name, unknown]).toEqual([name, []])
  }
})

test('every limit of a PROTOCOL.md that a variable changes has that variable’s default', () => {
  const checked: string[] = []
  for (const { name, variables } of sources) {
    const protocol = `apps/${name}/PROTOCOL.md`
    // The console speaks to no client app.
    if (!existsSync(new URL(protocol, root))) continue
    for (const [, value, changedBy] of tableRows(page(protocol), 'Limits')) {
      const [, variable] = /^`([A-Z][A-Z0-9_]+)`/.exec(changedBy ?? '') ?? []
      if (variable === undefined) continue
      const field = (variables.properties as Record<string, { default?: unknown }>)[variable]
      expect([variable, field?.default]).toEqual([variable, Number.parseInt(value ?? '', 10)])
      checked.push(variable)
    }
  }
  expect(checked.length).toBeGreaterThan(40)
})

test('every variable that a page names is one of a service', () => {
  const known = new Set(sources.flatMap(({ variables }) => Object.keys(variables.properties)))
  const docs = readdirSync(new URL('docs/', root)).filter((name) => name.endsWith('.md'))
  const pages = ['README.md', ...docs.map((name) => `docs/${name}`)]
  for (const path of pages) {
    const named = [...page(path).matchAll(/`(?:[A-Z0-9_=]+=[^`]*|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`/g)].map(
      ([text]) => text.slice(1, -1).split('=')[0] as string,
    )
    expect([path, named.filter((each) => !known.has(each) && !elsewhere.test(each))]).toEqual([path, []])
  }
})

test('a variable without a meaning is refused', () => {
  const [source] = sources
  const variables = { ...source?.variables, properties: { X_PORT: env.port(80) } }
  expect(() => variablesText([{ ...source, variables } as ServiceSource])).toThrow(
    'the variable X_PORT has no description in its schema',
  )
})
