import { contract, type Setting, settingsBucket } from '@carillon/events'
import type { Command } from 'commander'
import type { Print } from '../service-info.ts'
import { services } from '../services/index.ts'
import { ToolError, USAGE } from '../tool-error.ts'
import { withBus } from '../with-bus.ts'

/** `setting <key> [value]`: live settings. */
export function addSettingCommand(tool: Command, print: Print): void {
  tool
    .command('setting <key> [value]')
    .description('show or set a live setting: setting auction-push.idle_timeout_ms 60000')
    .option('--unset', 'back to the default')
    .action(async (key: string, value: string | undefined, options: { unset?: boolean }) =>
      print(await setting(key, value, options)),
    )
}

/** Shows, sets or (with `--unset`) removes a live setting, named `<service>.<setting>`. */
async function setting(
  key: string,
  value: string | undefined,
  options: { readonly unset?: boolean },
): Promise<string> {
  const known = settingNamed(key)
  return withBus(async (bus) => {
    const bucket = bus.bucket(settingsBucket)
    if (options.unset) {
      await bucket.delete(key)
      return `${key} has its default again`
    }
    if (value === undefined) {
      const entry = await bucket.get(key)
      return entry ? `${key} = ${JSON.stringify(entry.value)}` : `${key} is not set; the default holds`
    }
    const decoded = known.value.decode(Buffer.from(value))
    const text = decoded.ok ? decoded : known.value.decode(Buffer.from(JSON.stringify(value)))
    if (!text.ok) throw new ToolError(`${key}: ${text.reason}`)
    await bucket.put(key, text.value)
    return `${key} = ${JSON.stringify(text.value)}`
  })
}

function settingNamed(key: string): Setting<unknown> {
  const all = services.flatMap(({ name }) =>
    [...(contract.settings['<service>'] ?? []), ...(contract.settings[name] ?? [])].map(
      (each) => [`${name}.${each.name}`, each] as const,
    ),
  )
  const found = all.find(([known]) => known === key)?.[1]
  if (found) return found
  throw new ToolError(
    `there is no setting ${key}; settings:\n${all.map(([known, { summary }]) => `  ${known}  ${summary}`).join('\n')}`,
    USAGE,
  )
}
