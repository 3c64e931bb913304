// npm run bench: all measurements, or those named: npm run bench -- fanout discovery
import { build, execute, install, main, natsServer } from './setup.mjs'

await main(async () => {
  await install()
  await build()
  const env = { NATS_SERVER: await natsServer() }
  await execute(process.execPath, ['--import', 'tsx', 'bench/main.ts', ...process.argv.slice(2)], { env })
})
