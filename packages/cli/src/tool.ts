import { Command } from 'commander'
import { addConnectCommand } from './commands/connect.ts'
import { addDemoCommand } from './commands/demo.ts'
import { addProvisionCommand } from './commands/provision.ts'
import { addPublishCommand } from './commands/publish.ts'
import { addSettingCommand } from './commands/setting.ts'
import { addStateCommand } from './commands/state.ts'
import { addTokenCommand } from './commands/token.ts'
import { services } from './services/index.ts'
import { USAGE } from './tool-error.ts'

/** Runs the command-line tool. Exits with 1 where a command failed and 2 where it was not understood. */
export async function runTool(argv: readonly string[]): Promise<void> {
  // Whoever reads our output may stop reading: `carillon connect auction | head -1`.
  process.stdout.on('error', () => process.exit(0))
  const print = (line: string) => void process.stdout.write(`${line}\n`)
  const tool = new Command('carillon').description('Talk to a Carillon fleet').exitOverride()

  addTokenCommand(tool, print)
  addPublishCommand(tool, print)
  addConnectCommand(tool, print)
  addDemoCommand(tool, print)
  addStateCommand(tool, print)
  addSettingCommand(tool, print)
  addProvisionCommand(tool, print)
  for (const service of services) service.addCommands?.(tool, print)

  try {
    await tool.parseAsync(argv as string[])
    process.exit(0)
  } catch (error) {
    // Commander has printed its own message, or the help that was asked for.
    const { code, exitCode } = error as { code?: string; exitCode?: number }
    if (code?.startsWith('commander.')) process.exit(exitCode === 0 ? 0 : USAGE)
    throw error
  }
}
