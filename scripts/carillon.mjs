// npm run carillon -- …: the command-line tool.
import { build, install, main } from './setup.mjs'

await main(async () => {
  await install()
  await build()
  const { runTool } = await import('@carillon/cli')
  await runTool(process.argv)
})
