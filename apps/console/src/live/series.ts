import { type commonSeries, ownSeries, type SeriesName, type Values } from '../api.ts'
import { type Measurement, percentile, sum } from './measurement.ts'

/** What is known of one instance in this second. */
export interface Measured {
  readonly measurement: Measurement
  readonly lagP99Ms: number
}

/** A number of all instances of a service together; undefined where nobody measured it. */
type Series = (instances: readonly Measured[]) => number | undefined

const each = (read: (measurement: Measurement) => number | undefined): Series => {
  return (instances) => {
    const values = instances.flatMap(({ measurement }) => read(measurement) ?? [])
    return values.length === 0 ? undefined : sum(values)
  }
}
const gauge = (name: string) => each((measurement) => measurement.gauge(name))
const rate = (name: string, labels?: string) => each((measurement) => measurement.rate(name, labels))
/** The sum of several, of which some may be unknown. */
const total =
  (...parts: readonly Series[]): Series =>
  (instances) => {
    const values = parts.flatMap((part) => part(instances) ?? [])
    return values.length === 0 ? undefined : sum(values)
  }
const percentileMs =
  (name: string, quantile: number): Series =>
  (instances) => {
    const seconds = percentile(
      instances.map(({ measurement }) => measurement.buckets(name)),
      quantile,
    )
    return seconds === undefined ? undefined : seconds * 1_000
  }
const mean =
  (amount: string, count: string): Series =>
  (instances) => {
    const increase = (name: string) =>
      sum(instances.map(({ measurement }) => measurement.increase(name) ?? 0))
    const times = increase(count)
    return times === 0 ? undefined : increase(amount) / times
  }

const common: Readonly<Record<(typeof commonSeries)[number], Series>> = {
  connections: gauge('carillon_connections'),
  capacity: gauge('carillon_connections_max'),
  opened_per_s: rate('carillon_connections_opened_total'),
  closed_per_s: rate('carillon_connections_closed_total'),
  deliveries_per_s: rate('carillon_deliveries_total'),
  frames_in_per_s: rate('carillon_frames_in_total'),
  bytes_in_per_s: rate('carillon_bytes_in_total'),
  bytes_out_per_s: rate('carillon_bytes_out_total'),
  publish_to_write_p50_ms: percentileMs('carillon_publish_to_write_seconds', 0.5),
  publish_to_write_p99_ms: percentileMs('carillon_publish_to_write_seconds', 0.99),
  event_loop_lag_p99_ms: (instances) =>
    instances.length === 0 ? undefined : Math.max(...instances.map(({ lagP99Ms }) => lagP99Ms)),
  queued_bytes: gauge('carillon_queued_bytes'),
  slow_consumers_per_s: rate('carillon_slow_consumers_total'),
  refusals_per_s: total(
    rate('carillon_connections_refused_total'),
    rate('carillon_auth_failures_total'),
    rate('carillon_sockets_refused_total'),
  ),
}

type OwnName = (typeof ownSeries)[keyof typeof ownSeries][number]
const own: Readonly<Record<OwnName, Series>> = {
  evictions_per_s: rate('carillon_evictions_total'),
  relays_confirmed_per_s: rate('carillon_relays_total', 'outcome="confirmed"'),
  relays_redriven_per_s: rate('carillon_relays_total', 'outcome="redriven"'),
  relays_unconfirmed_per_s: rate('carillon_relays_total', 'outcome="unconfirmed"'),
  commits_per_s: rate('carillon_im_commit_seconds_count'),
  messages_per_s: rate('carillon_im_commit_messages_sum'),
  messages_per_commit: mean('carillon_im_commit_messages_sum', 'carillon_im_commit_messages_count'),
  commit_p99_ms: percentileMs('carillon_im_commit_seconds', 0.99),
  waiting: gauge('carillon_im_messages_waiting'),
  pending_notices: gauge('carillon_im_notices_in_flight'),
  requests_per_s: rate('carillon_im_requests_total'),
  acks_per_s: total(
    rate('carillon_campus_pushes_total', 'status="acked"'),
    rate('carillon_campus_durable_total', 'what="acked"'),
  ),
  timeouts_per_s: rate('carillon_campus_pushes_total', 'status="timeout"'),
  live_devices: gauge('carillon_campus_live_devices'),
  answers_per_s: rate('carillon_discovery_answers_total'),
}

/** Everything that is measured of a service, of these instances together. */
export function valuesOf(service: string, instances: readonly Measured[]): Values {
  const values: { [S in SeriesName]?: number } = {}
  const add = (name: SeriesName, series: Series) => {
    const value = series(instances)
    if (value !== undefined && Number.isFinite(value)) values[name] = rounded(value)
  }
  for (const [name, series] of Object.entries(common)) add(name as SeriesName, series)
  const names: readonly OwnName[] = ownSeries[service as keyof typeof ownSeries] ?? []
  for (const name of names) add(name, own[name])
  return values
}

/** As exact as a plot needs. */
function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000
}
