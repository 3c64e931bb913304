import type { Instance, Snapshot } from '../../../src/api.ts'
import { combine } from '../live/history.ts'

export interface ServiceInstances {
  readonly service: string
  readonly instances: readonly Instance[]
  /** Undefined for services without clients' connections. */
  readonly connections: number | undefined
  readonly capacity: number | undefined
}

/** Instances by service, those of a region together. */
export function groupInstances(instances: readonly Instance[]): ServiceInstances[] {
  const services = new Map<string, Instance[]>()
  for (const each of instances) {
    const theirs = services.get(each.service)
    if (theirs) theirs.push(each)
    else services.set(each.service, [each])
  }
  return [...services]
    .sort(([one], [other]) => compare(one, other))
    .map(([service, theirs]) => ({
      service,
      instances: theirs.sort(
        (one, other) => compare(one.region, other.region) || compare(one.instance_id, other.instance_id),
      ),
      connections: total(theirs, 'connections'),
      capacity: total(theirs, 'capacity'),
    }))
}

/** The latest figures of the whole fleet; null where nothing was measured. */
export function fleetFigures({ instances, services }: Snapshot) {
  const values = Object.values(services)
  const sum = (name: 'deliveries_per_s' | 'refusals_per_s' | 'queued_bytes') =>
    combine(
      values.map((each) => each[name]),
      'sum',
    )
  const max = (name: 'publish_to_write_p50_ms' | 'publish_to_write_p99_ms' | 'event_loop_lag_p99_ms') =>
    combine(
      values.map((each) => each[name]),
      'max',
    )
  return {
    instances: instances.length,
    notReady: instances.filter(({ state, silent }) => state !== 'ready' || silent).length,
    connections: total(instances, 'connections') ?? 0,
    capacity: total(instances, 'capacity') ?? 0,
    deliveriesPerS: sum('deliveries_per_s'),
    refusalsPerS: sum('refusals_per_s'),
    queuedBytes: sum('queued_bytes'),
    p50Ms: max('publish_to_write_p50_ms'),
    p99Ms: max('publish_to_write_p99_ms'),
    lagMs: max('event_loop_lag_p99_ms'),
  }
}

function total(instances: readonly Instance[], name: 'connections' | 'capacity'): number | undefined {
  const values = instances.flatMap((each) => each[name] ?? [])
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0)
}

/** By code units: the same everywhere, whatever the reader's language. */
const compare = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)
