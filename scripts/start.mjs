// npm start: everything that a fresh clone needs to run the whole fleet on this machine.
import { build, install, main, natsServer } from './setup.mjs'

// Before anything takes time: whoever runs us may be gone by the end of it.
const parentPid = process.ppid

await main(async () => {
  await install()
  await build()
  const { startFleet } = await import('@carillon/cli')
  await startFleet({
    parentPid,
    only: readOnly(process.argv.slice(2)),
    natsServer: process.env.NATS_URL ? undefined : await natsServer(),
  })
})

/** `--only auction-push,endpoint-discovery` */
function readOnly(args) {
  const at = args.findIndex((arg) => arg === '--only' || arg.startsWith('--only='))
  if (at < 0) return undefined
  const value = args[at].includes('=') ? args[at].split('=')[1] : args[at + 1]
  return value?.split(',').filter(Boolean) ?? []
}
