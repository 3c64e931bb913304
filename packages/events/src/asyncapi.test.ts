import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test } from '@jest/globals'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { parse } from 'yaml'
import { asyncapi } from './asyncapi.ts'
import { contract } from './contract.ts'

const file = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const { version } = JSON.parse(file('package.json'))

test('docs/asyncapi.yaml is what the schemas say (npm run docs)', () => {
  expect(parse(file('docs/asyncapi.yaml'))).toEqual(JSON.parse(JSON.stringify(asyncapi(contract, version))))
})

test('it is a valid AsyncAPI 3 document', () => {
  const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0-without-$id.json')
  const ajv = new Ajv({ strict: false, allErrors: true })
  addFormats.default(ajv)
  const validate = ajv.compile(schema)
  validate(asyncapi(contract, version))
  expect(validate.errors ?? []).toEqual([])
})
