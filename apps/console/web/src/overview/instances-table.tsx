import { useState } from 'preact/hooks'
import type { Instance } from '../../../src/api.ts'
import { formatAge, formatBytes, formatCompact, formatMs, formatNumber, formatTime } from '../format.ts'
import { snapshot } from '../live/live.ts'
import { groupInstances, type ServiceInstances } from './fleet.ts'

/** A service with more instances than this is shown as one line until it is opened. */
const OPEN_UP_TO = 4

export function InstancesTable() {
  const current = snapshot.value
  if (current === undefined) return <p class="empty">Waiting for the first figures …</p>
  if (current.instances.length === 0)
    return (
      <p class="empty">
        No instance has announced itself
        {current.nats_connected ? '. Is a service running?' : ': NATS is away.'}
      </p>
    )
  return (
    <div class="scroll">
      <table class="instances" data-at={current.at}>
        <thead>
          <tr>
            <th scope="col">Instance</th>
            <th scope="col" class="spare">
              Region
            </th>
            <th scope="col">Connections</th>
            <th scope="col">State</th>
            <th scope="col" class="figure">
              Up
            </th>
            <th scope="col" class="spare">
              Version
            </th>
            <th scope="col" class="figure spare">
              Lag
            </th>
            <th scope="col" class="figure spare">
              Queued
            </th>
          </tr>
        </thead>
        {groupInstances(current.instances).map((group) => (
          <Service key={group.service} group={group} at={current.at} />
        ))}
      </table>
    </div>
  )
}

function Service({ group, at }: { group: ServiceInstances; at: number }) {
  const { service, instances, connections, capacity } = group
  const [chosen, setChosen] = useState<boolean>()
  const open = chosen ?? instances.length <= OPEN_UP_TO
  const unwell = instances.filter(({ state, silent }) => state !== 'ready' || silent).length
  return (
    <tbody data-service={service}>
      <tr class="service">
        <th scope="rowgroup">
          <button type="button" class="fold" aria-expanded={open} onClick={() => setChosen(!open)}>
            {service}
          </button>
        </th>
        <td class="spare">
          <small>{instances.length === 1 ? '1 instance' : `${instances.length} instances`}</small>
        </td>
        <td>{instances.length > 1 && <Load connections={connections} capacity={capacity} />}</td>
        <td colSpan={5}>{unwell > 0 && <span class="state warn">{unwell} not ready</span>}</td>
      </tr>
      {open && instances.map((each) => <InstanceRow key={each.instance_id} instance={each} at={at} />)}
    </tbody>
  )
}

const stateNames = { ready: 'ready', draining: 'draining', not_ready: 'not ready' } as const

function InstanceRow({ instance, at }: { instance: Instance; at: number }) {
  const { instance_id: id, state, silent } = instance
  const level = state === 'ready' && !silent ? 'good' : state === 'draining' || silent ? 'warn' : 'bad'
  return (
    <tr data-instance={id}>
      <td class="id" title={id}>
        {shortId(instance)}
      </td>
      <td class="spare">{instance.region}</td>
      <td>
        <Load connections={instance.connections} capacity={instance.capacity} />
      </td>
      <td>
        <span class={`state ${level}`}>{silent ? 'no answer' : stateNames[state]}</span>
      </td>
      <td class="figure" title={formatTime(instance.started_at)}>
        {formatAge(at - instance.started_at)}
      </td>
      <td class="version spare" title={instance.version}>
        {instance.version}
      </td>
      <td class="figure spare">{formatMs(instance.event_loop_lag_p99_ms)}</td>
      <td class="figure spare">{formatBytes(instance.queued_bytes)}</td>
    </tr>
  )
}

/** The service's name stands above: what tells instances apart remains. */
function shortId({ service, instance_id: id }: Instance): string {
  return id.startsWith(`${service}-`) ? id.slice(service.length + 1) : id
}

interface LoadProps {
  connections: number | undefined
  capacity: number | undefined
}

/** A bar of connections over capacity, with the figures beside. */
function Load({ connections, capacity }: LoadProps) {
  if (connections === undefined) return <span class="none">–</span>
  const share = capacity ? connections / capacity : 0
  return (
    <span class="load">
      <meter
        min={0}
        max={1}
        high={0.85}
        value={Math.min(1, share)}
        aria-label={`${formatNumber(connections)} of ${formatNumber(capacity)} connections`}
      />
      <span class="figure" data-connections={connections}>
        {formatNumber(connections)}
        <small> of {formatCompact(capacity)}</small>
      </span>
    </span>
  )
}
