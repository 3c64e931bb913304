import type { ownSeries, SeriesName } from '../../../src/api.ts'
import { formatBytes, formatCompact, formatMs, formatNumber, NONE } from '../format.ts'
import type { Combination } from '../live/history.ts'

type Format = (value: number | null | undefined) => string

export interface PlotSeries {
  readonly name: SeriesName
  /** Empty where the plot's title says it all. */
  readonly label: string
}

export interface PlotInfo {
  readonly title: string
  readonly series: readonly PlotSeries[]
  readonly format: Format
  /** Shorter, at the axis. */
  readonly axisFormat: Format
  /** Steps of the axis are multiples of 1,024. */
  readonly binary: boolean
  readonly combination: Combination
  /** Measured by this service alone. */
  readonly service?: string
  /** Why there may be no figures at all. */
  readonly unmeasured?: string
}

const perSecond: Format = (value) => (typeof value === 'number' ? `${formatNumber(value)}/s` : NONE)
const plot = (
  title: string,
  series: readonly [SeriesName, string][],
  format: Format = perSecond,
  combination: Combination = 'sum',
): PlotInfo => ({
  title,
  series: series.map(([name, label]) => ({ name, label })),
  format,
  axisFormat: format === perSecond || format === formatNumber ? formatCompact : format,
  binary: format === formatBytes,
  combination,
})
type Own = typeof ownSeries

/** What one service alone measures. */
const own = <S extends keyof Own>(
  service: S,
  title: string,
  series: readonly [Own[S][number], string][],
  format?: Format,
): PlotInfo => ({ ...plot(title, series, format), service })

export const plots: readonly PlotInfo[] = [
  plot('Connections', [['connections', '']], formatNumber),
  plot('Deliveries', [['deliveries_per_s', '']]),
  {
    ...plot(
      'Publish to write',
      [
        ['publish_to_write_p99_ms', 'p99'],
        ['publish_to_write_p50_ms', 'p50'],
      ],
      formatMs,
      'max',
    ),
    unmeasured: 'Of messages with the header Carillon-Published-At',
  },
  plot('Event-loop lag', [['event_loop_lag_p99_ms', 'p99, slowest']], formatMs, 'max'),
  plot('Queued for clients', [['queued_bytes', '']], formatBytes),
  plot('Opened and closed', [
    ['opened_per_s', 'opened'],
    ['closed_per_s', 'closed'],
  ]),
  plot('Slow consumers', [['slow_consumers_per_s', '']]),
  plot('Refusals', [['refusals_per_s', '']]),
  own('voice-room-ws', 'Voice evictions', [['evictions_per_s', '']]),
  own('voice-room-ws', 'Voice relays', [
    ['relays_confirmed_per_s', 'confirmed'],
    ['relays_redriven_per_s', 'driven again'],
    ['relays_unconfirmed_per_s', 'unconfirmed'],
  ]),
  own('im-messages', 'IM commits', [
    ['messages_per_s', 'messages'],
    ['commits_per_s', 'commits'],
  ]),
  own('im-gateway', 'IM pending notices', [['pending_notices', '']], formatNumber),
  own('campus-socketio', 'Campus acknowledgements', [
    ['acks_per_s', 'acknowledged'],
    ['timeouts_per_s', 'timed out'],
  ]),
]
