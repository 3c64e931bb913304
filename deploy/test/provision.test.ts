import { contract } from '@carillon/events'
import { eventually, testEnvironment } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { bootAuction } from '../../apps/auction-push/test/auction.ts'
import { ScriptFolder } from '../../scripts/script-run.ts'
import { RestrictedNats } from './restricted-nats.ts'

let nats: RestrictedNats
let folder: ScriptFolder
beforeAll(async () => {
  nats = await RestrictedNats.start({ provisioned: false })
  folder = await ScriptFolder.create()
})
afterAll(async () => {
  await folder?.remove()
  await nats?.stop()
})

async function provision(user: string, ...args: string[]) {
  const environment = { NATS_URL: nats.server.url, ...nats.environment(user) }
  const run = folder.run('carillon.mjs', ['provision', ...args], environment)
  return { exitCode: await run.ended(), output: run.output }
}

test('provision makes what a service with the permissions of deploy/nats lacks, and may be run again', async () => {
  const service = await bootAuction(nats.server, {
    ...testEnvironment('AUCTION', nats.server),
    ...nats.environment('auction-push'),
  })
  try {
    const ready = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).ok
    // A service may not make streams: it says that one is missing, in its own time.
    await eventually(async () => service.bus.storage.some(({ problem }) => problem !== undefined))
    expect(await ready()).toBe(false)

    const first = await provision('provisioner')
    expect(first).toMatchObject({ exitCode: 0 })
    for (const { name } of contract.streams) expect(first.output).toContain(`stream ${name}: `)
    for (const { name } of contract.buckets) expect(first.output).toContain(`bucket ${name}: `)
    await eventually(ready, 60_000)
    const again = await provision('provisioner')
    expect(again.exitCode).toBe(0)
    for (const { name } of contract.streams) expect(again.output).toContain(`stream ${name}: `)
  } finally {
    await service.stop()
  }
})

test('who may not provision is told so, and what is no number of replicas is refused', async () => {
  const refused = await provision('auction-publisher')
  expect(refused.exitCode).toBe(1)
  expect(await provision('provisioner', '--replicas', '6')).toMatchObject({ exitCode: 2 })
})
