import { useState } from 'preact/hooks'
import { formatBytes, formatMs, formatNumber } from '../format.ts'
import { history, snapshot } from '../live/live.ts'
import { fleetFigures } from './fleet.ts'
import { InstancesTable } from './instances-table.tsx'
import { Plot } from './plot.tsx'
import { plots } from './plots.ts'

export function OverviewView() {
  return (
    <div class="overview">
      <Figures />
      <section class="card" aria-labelledby="instances-heading">
        <h2 id="instances-heading">Instances</h2>
        <InstancesTable />
      </section>
      <Plots />
    </div>
  )
}

function Figures() {
  const current = snapshot.value
  const figures = current && fleetFigures(current)
  const of = (text: string | undefined) => (figures === undefined ? '–' : text)
  return (
    <dl class="figures">
      <Figure
        name="Connections"
        value={of(formatNumber(figures?.connections))}
        note={figures && `of ${formatNumber(figures.capacity)}`}
      />
      <Figure
        name="Instances"
        value={of(formatNumber(figures?.instances))}
        note={figures && (figures.notReady > 0 ? `${figures.notReady} not ready` : 'all ready')}
        warn={(figures?.notReady ?? 0) > 0}
      />
      <Figure name="Deliveries" value={of(formatNumber(figures?.deliveriesPerS))} note="a second" />
      <Figure
        name="Publish to write, p99"
        value={of(formatMs(figures?.p99Ms))}
        note={figures && `p50 ${formatMs(figures.p50Ms)}`}
      />
      <Figure name="Event-loop lag, p99" value={of(formatMs(figures?.lagMs))} note="slowest instance" />
      <Figure name="Queued" value={of(formatBytes(figures?.queuedBytes))} note="for clients" />
      <Figure name="Refusals" value={of(formatNumber(figures?.refusalsPerS))} note="a second" />
    </dl>
  )
}

interface FigureProps {
  name: string
  value: string | undefined
  note: string | undefined
  warn?: boolean
}

function Figure({ name, value, note, warn = false }: FigureProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <span class="big">{value}</span> <small class={warn ? 'warn' : undefined}>{note}</small>
      </dd>
    </div>
  )
}

function Plots() {
  const [service, setService] = useState<string>()
  // The list of services comes with the snapshots.
  snapshot.value
  const shown = plots.filter(
    (info) => info.service === undefined || service === undefined || info.service === service,
  )
  return (
    <section class="plots" aria-labelledby="plots-heading">
      <div class="bar">
        <h2 id="plots-heading">Last fifteen minutes</h2>
        <label class="inline">
          Service
          <select
            value={service ?? ''}
            onChange={({ currentTarget }) => setService(currentTarget.value || undefined)}
          >
            <option value="">all (sum; percentiles: the slowest)</option>
            {history.services.map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="grid">
        {shown.map((info) => (
          <Plot key={info.title} info={info} service={service} />
        ))}
      </div>
    </section>
  )
}
