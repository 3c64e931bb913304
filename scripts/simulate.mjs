// npm run simulate -- [size]: discovery and reconnects of large fleets on a simulated clock; see docs/scaling.md.
import { build, execute, install, main } from './setup.mjs'

await main(async () => {
  await install()
  await build()
  const simulation = ['--conditions=source', '--import', 'tsx', 'bench/simulation/main.ts']
  await execute(process.execPath, [...simulation, ...process.argv.slice(2)])
})
