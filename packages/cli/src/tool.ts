import { Command } from 'commander'
import { type ConnectOptions, connect } from './commands/connect.ts'
import { type DemoOptions, demo } from './commands/demo.ts'
import { publish } from './commands/publish.ts'
import { setting } from './commands/setting.ts'
import { state } from './commands/state.ts'
import { type TokenOptions, token } from './commands/token.ts'
import { USAGE } from './failure.ts'

/** Runs the command-line tool. Exits with 1 where a command failed and 2 where it was not understood. */
export async function runTool(argv: readonly string[]): Promise<void> {
  const print = (text: string) => void process.stdout.write(`${text}\n`)
  const tool = new Command('carillon').description('Talk to a Carillon fleet').exitOverride()

  tool
    .command('token <service>')
    .description("a client's token, signed with AUTH_HS256_SECRET or the development secret")
    .requiredOption('--user <id>', 'whom the token is for')
    .option('--ttl <seconds>', 'how long it holds', '3600')
    .action(async (name: string, options: TokenOptions) => print(await token(name, options)))
  tool
    .command('publish <event> [idsAndPayload...]')
    .description(`publish an event: publish auction.bid 3607 '{"amount":…}'`)
    .action(async (name: string, args: string[]) => print(await publish(name, args)))
  tool
    .command('connect <service>')
    .description('connect as a client: prints frames, sends what is typed')
    .option('--user <id>', 'as whom', '3600')
    .option('--url <url>', 'where to, such as ws://127.0.0.1:12029')
    .action((name: string, options: ConnectOptions) => connect(name, options))
  tool
    .command('demo <what>')
    .description('a lively feed to play with: demo quotes')
    .option('--seed <number>', 'the same seed gives the same feed', '1')
    .option('--markets <number>', 'how many markets', '300')
    .option('--rate <number>', 'quotes per second', '200')
    .option('--seconds <number>', 'how long; without it until Ctrl-C')
    .action(async (what: string, options: DemoOptions) => print(await demo(what, options, print)))
  tool
    .command('state')
    .description('what runs, and the live settings')
    .action(async () => print(await state()))
  tool
    .command('setting <key> [value]')
    .description('show or set a live setting: setting auction-push.idle_timeout_ms 60000')
    .option('--unset', 'back to the default')
    .action(async (key: string, value: string | undefined, options: { unset?: boolean }) =>
      print(await setting(key, value, options)),
    )

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
