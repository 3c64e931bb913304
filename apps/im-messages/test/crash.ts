// A message service in a process of its own, to be killed.
import { create, readConfig } from '../src/server.ts'
import { ready } from './ready.ts'

const service = create(readConfig(process.env))
await service.start()
await ready(service)
process.stdout.write('ready\n')
