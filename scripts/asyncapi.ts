// npm run docs: writes the published contract, docs/asyncapi.yaml, from the schemas in packages/events.
import { readFileSync, writeFileSync } from 'node:fs'
import { asyncapi, contract } from '@carillon/events'
import { stringify } from 'yaml'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const text = stringify(asyncapi(contract, version), { aliasDuplicateObjects: false })
writeFileSync(new URL('../docs/asyncapi.yaml', import.meta.url), text)
