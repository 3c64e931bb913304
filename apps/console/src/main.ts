import { run } from '@carillon/service'
import { create, readConfig } from './server.ts'

await run((environment) => create(readConfig(environment)))
