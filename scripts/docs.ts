// npm run docs: writes what follows from the code. docs/asyncapi.yaml and the users of NATS come from the contract in
// packages/events, the tables of docs/operations.md from the services' schemas and registries.
import { readFileSync, writeFileSync } from 'node:fs'
import { asyncapi, contract } from '@carillon/events'
import { stringify } from 'yaml'
import { accountsConf } from './nats-users.ts'
import { withReference } from './reference/operations.ts'
import { serviceSources } from './reference/services.ts'

const file = (path: string) => new URL(`../${path}`, import.meta.url)
const { version } = JSON.parse(readFileSync(file('package.json'), 'utf8'))
const text = stringify(asyncapi(contract, version), { aliasDuplicateObjects: false })
writeFileSync(file('docs/asyncapi.yaml'), text)
writeFileSync(file('deploy/nats/accounts.conf'), accountsConf())
const operations = file('docs/operations.md')
writeFileSync(operations, withReference(readFileSync(operations, 'utf8'), await serviceSources()))
