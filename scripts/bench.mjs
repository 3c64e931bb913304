// npm run bench: all measurements, or those named: npm run bench -- fanout discovery
import { build, execute, install, main, natsServer } from './setup.mjs'

await main(async () => {
  await install()
  await build()
  const env = { NATS_SERVER: await natsServer() }
  // As many open files as this user may have: one case opens 15,000 connections.
  const raised = 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$0" "$@"'
  const bench = [process.execPath, '--import', 'tsx', 'bench/main.ts', ...process.argv.slice(2)]
  await execute('sh', ['-c', raised, ...bench], { env })
})
