import { setTimeout as sleep } from 'node:timers/promises'
import { ANNOUNCE_INTERVAL_MS, type Announcement, discovery, settingsBucket } from '@carillon/events'
import Table from 'cli-table3'
import { withBus } from '../connect-bus.ts'

/** What runs, as the instances announce themselves, and the live settings that are set. */
export async function state(): Promise<string> {
  return withBus(async (bus) => {
    const heard = new Map<string, Announcement>()
    bus.subscribe(discovery.announce, {}, ({ payload }) => heard.set(payload.instance_id, payload))
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
    for (const each of [...heard.values()].sort((a, b) => a.service.localeCompare(b.service))) {
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
    const lines = [heard.size > 0 ? instances.toString() : 'no gateway announces itself']
    for (const [key, value] of settings) lines.push(`setting ${key} = ${JSON.stringify(value)}`)
    return lines.join('\n')
  })
}
