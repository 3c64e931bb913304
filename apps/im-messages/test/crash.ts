// A message service in a process of its own, to be killed.
import { create, readConfig } from '../src/server.ts'

const service = create(readConfig(process.env))
await service.start()
await service.bus.roundTrip()
process.stdout.write('ready\n')
