import type { Command } from 'commander'
import { positiveInteger } from '../option.ts'
import type { DemoInfo, OptionValues, Print } from '../service-info.ts'
import { services } from '../services/index.ts'
import { withBus } from '../with-bus.ts'

/** `demo <service>`: a feed to play with. */
export function addDemoCommand(tool: Command, print: Print): void {
  const parent = tool
    .command('demo')
    .description('a lively feed to play with: demo quote')
    .showHelpAfterError()
  for (const { name, alias, demo } of services) {
    if (demo === undefined) continue
    const command = parent
      .command(alias)
      .aliases([name, ...(demo.aliases ?? [])])
      .description(demo.description)
      .option('--seed <number>', 'the same seed gives the same feed', '1')
      .option('--seconds <number>', 'how long; without it until Ctrl-C')
    for (const option of demo.options ?? []) {
      command.option(option.flags, option.description, option.default)
    }
    command.action(async (options: OptionValues) => print(await runDemo(demo, options, print)))
  }
}

async function runDemo(
  demo: DemoInfo,
  { seed, seconds, ...options }: OptionValues,
  print: Print,
): Promise<string> {
  const random = seededRandom(positiveInteger('--seed', seed))
  const ended = new AbortController()
  const end = () => ended.abort()
  const timer = seconds && setTimeout(end, positiveInteger('--seconds', seconds) * 1_000)
  process.once('SIGINT', end)
  try {
    return await withBus((bus) => demo.run({ bus, options, print, signal: ended.signal, random }))
  } finally {
    process.off('SIGINT', end)
    if (timer) clearTimeout(timer)
  }
}

/** A small generator of random numbers from 0 to 1 (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
