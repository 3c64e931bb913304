// npm run docs: writes what follows from the contract in packages/events: docs/asyncapi.yaml and the users of NATS.
import { readFileSync, writeFileSync } from 'node:fs'
import { asyncapi, contract } from '@carillon/events'
import { stringify } from 'yaml'
import { accountsConf } from './nats-users.ts'

const file = (path: string) => new URL(`../${path}`, import.meta.url)
const { version } = JSON.parse(readFileSync(file('package.json'), 'utf8'))
const text = stringify(asyncapi(contract, version), { aliasDuplicateObjects: false })
writeFileSync(file('docs/asyncapi.yaml'), text)
writeFileSync(file('deploy/nats/accounts.conf'), accountsConf())
