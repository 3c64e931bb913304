import { setTimeout as sleep } from 'node:timers/promises'
import { ANNOUNCE_INTERVAL_MS, type Announcement, discovery, settingsBucket } from '@carillon/events'
import Table from 'cli-table3'
import type { Command } from 'commander'
import type { Print } from '../service-info.ts'
import { withBus } from '../with-bus.ts'

/** `state`: what runs, and the live settings. */
export function addStateCommand(tool: Command, print: Print): void {
  tool
    .command('state')
    .description('what runs, and the live settings')
    .action(async () => print(await state()))
}

/** What runs, as the instances announce themselves, and the live settings that are set. */
async function state(): Promise<string> {
  return withBus(async (bus) => {
    const announced = new Map<string, Announcement>()
    bus.subscribe(discovery.announce, {}, ({ payload }) => announced.set(payload.instance_id, payload))
    const settings = new Map<string, unknown>()
    const stopWatching = bus.bucket(settingsBucket).watch((change) => {
      if ('value' in change && change.value !== undefined) settings.set(change.key, change.value)
    })
    // Everybody announces itself within one interval.
    await sleep(ANNOUNCE_INTERVAL_MS + 300)
    stopWatching()
    const instances = new Table({
      head: ['service', 'instance', 'endpoint', 'region', 'connections', 'state'],
      style: { head: [], border: [] },
    })
    for (const each of [...announced.values()].sort((a, b) => a.service.localeCompare(b.service))) {
      const { service, instance_id, end_point, region, connections, capacity, draining } = each
      instances.push([
        service,
        instance_id,
        end_point,
        region,
        `${connections} of ${capacity}`,
        draining ? 'draining' : 'live',
      ])
    }
    const lines = [announced.size > 0 ? instances.toString() : 'no gateway announces itself']
    for (const [key, value] of settings) lines.push(`setting ${key} = ${JSON.stringify(value)}`)
    return lines.join('\n')
  })
}
