export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** The value below which so many per cent of the values lie. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}

/** Half the distance between the largest and the smallest, as a part of the median. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / 2 / median(values)
}

export const percentiles = (values: readonly number[]) => ({
  p50: percentile(values, 50),
  p90: percentile(values, 90),
  p99: percentile(values, 99),
  'p99.9': percentile(values, 99.9),
  max: percentile(values, 100),
})
