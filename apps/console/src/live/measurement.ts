import type { Stats } from '@carillon/events'

/** The samples of one metric, by their labels as they are printed; '' for none. */
type Samples = ReadonlyMap<string, number>

/** One answer of an instance, its samples grouped by metric. */
export interface Reading {
  readonly uptimeMs: number
  readonly metrics: ReadonlyMap<string, Samples>
}

export function readingOf({ uptime_ms, samples }: Pick<Stats, 'uptime_ms' | 'samples'>): Reading {
  const metrics = new Map<string, Map<string, number>>()
  for (const [sample, value] of Object.entries(samples)) {
    const at = sample.indexOf('{')
    const name = at < 0 ? sample : sample.slice(0, at)
    const labels = at < 0 ? '' : sample.slice(at)
    const known = metrics.get(name)
    if (known) known.set(labels, value)
    else metrics.set(name, new Map([[labels, value]]))
  }
  return { uptimeMs: uptime_ms, metrics }
}

/** What an instance that has just started counted before anybody asked: from nothing. */
const NOTHING: Reading = { uptimeMs: 0, metrics: new Map() }

/** What one instance measured between two answers. */
export class Measurement {
  readonly #now: Reading
  readonly #before: Reading | undefined

  /** `before` is undefined where it is not known how far the counters had come. */
  constructor(now: Reading, before: Reading | undefined) {
    this.#now = now
    this.#before = before
  }

  /**
   * Since the answer before. An instance that was seen first, and has started since the fleet was asked last, began at nothing; one
   * that was running already has counters of unknown age, whose rates begin with its next answer.
   */
  static between(
    now: Reading,
    before: Reading | undefined,
    sinceLastRoundMs: number | undefined,
  ): Measurement {
    if (before !== undefined && before.uptimeMs < now.uptimeMs) return new Measurement(now, before)
    const startedSince = sinceLastRoundMs !== undefined && now.uptimeMs <= sinceLastRoundMs
    return new Measurement(now, startedSince ? NOTHING : undefined)
  }

  /** The sum of a gauge over its labels; undefined where this instance does not have it. */
  gauge(name: string): number | undefined {
    const samples = this.#now.metrics.get(name)
    return samples && sum(samples.values())
  }

  /** A second's increase of a counter, over the labels that contain this text. */
  rate(name: string, labels = ''): number | undefined {
    const increase = this.increase(name, labels)
    if (increase === undefined || this.#before === undefined) return undefined
    const seconds = (this.#now.uptimeMs - this.#before.uptimeMs) / 1_000
    return seconds > 0 ? increase / seconds : undefined
  }

  /** How much a counter has grown; never negative. */
  increase(name: string, labels = ''): number | undefined {
    if (this.#before === undefined) return undefined
    const samples = this.#now.metrics.get(name)
    if (samples === undefined) return undefined
    const before = this.#before.metrics.get(name)
    let total = 0
    for (const [label, value] of samples)
      if (label.includes(labels)) total += Math.max(0, value - (before?.get(label) ?? 0))
    return total
  }

  /** How much each bucket of a histogram has grown, by its upper bound; buckets are cumulative. */
  buckets(name: string): ReadonlyMap<number, number> {
    const grown = new Map<number, number>()
    const samples = this.#now.metrics.get(`${name}_bucket`)
    if (this.#before === undefined || samples === undefined) return grown
    const before = this.#before.metrics.get(`${name}_bucket`)
    for (const [label, value] of samples) {
      const bound = boundOf(label)
      if (bound === undefined) continue
      const increase = Math.max(0, value - (before?.get(label) ?? 0))
      grown.set(bound, (grown.get(bound) ?? 0) + increase)
    }
    return grown
  }
}

function boundOf(labels: string): number | undefined {
  const text = /\ble="([^"]*)"/.exec(labels)?.[1]
  if (text === undefined) return undefined
  const bound = text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text)
  return Number.isNaN(bound) ? undefined : bound
}

/**
 * A percentile of the sum of several instances' buckets, interpolated within its bucket as Prometheus does; undefined
 * where nothing was counted. Beyond the last finite bound it is that bound.
 */
export function percentile(
  buckets: readonly ReadonlyMap<number, number>[],
  quantile: number,
): number | undefined {
  const total = new Map<number, number>()
  for (const each of buckets)
    for (const [bound, count] of each) total.set(bound, (total.get(bound) ?? 0) + count)
  const bounds = [...total.keys()].sort((a, b) => a - b)
  const last = bounds.at(-1)
  const count = last === undefined ? 0 : (total.get(last) ?? 0)
  if (count <= 0) return undefined
  const rank = quantile * count
  let lower = 0
  let below = 0
  for (const bound of bounds) {
    const upTo = total.get(bound) ?? 0
    if (upTo >= rank && upTo > below) {
      if (bound === Number.POSITIVE_INFINITY) return lower
      return lower + ((bound - lower) * (rank - below)) / (upTo - below)
    }
    lower = bound
    below = upTo
  }
  return lower
}

export function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
