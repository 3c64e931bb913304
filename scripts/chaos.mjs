// npm run chaos -- <case> [options]: kills, freezes and restarts what runs, and holds the result against a model.
import { build, execute, install, main, natsServer } from './setup.mjs'

await main(async () => {
  await install()
  await build()
  const env = { NATS_SERVER: await natsServer() }
  const chaos = ['--conditions=source', '--import', 'tsx', 'bench/chaos/main.ts', ...process.argv.slice(2)]
  await execute(process.execPath, chaos, { env })
})
