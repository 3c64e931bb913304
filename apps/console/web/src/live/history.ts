import type { History, SeriesName, Snapshot, Values } from '../../../src/api.ts'

/** A quarter of an hour, one point a second, and some for the gaps. */
const POINTS_MAX = 920
const SPAN_MS = 900_000
/** Points further apart are not joined by a line. */
const GAP_MS = 3_500

type Column = (number | null)[]

/** How the services' values become one of the fleet: percentiles do not add up, so the slowest service's is shown. */
export type Combination = 'sum' | 'max'

/** What was measured in the last fifteen minutes, as columns of the same length as {@link at}. */
export class MeasuredHistory {
  /** Milliseconds, ascending. */
  at: number[] = []
  readonly #services = new Map<string, Map<string, Column>>()

  replace(history: History): void {
    this.at = []
    this.#services.clear()
    const services = Object.entries(history.services)
    history.at.forEach((at, index) => {
      const values: Record<string, Values> = {}
      for (const [service, columns] of services) {
        const row: Record<string, number> = {}
        for (const [name, column] of Object.entries(columns)) {
          const value = column[index]
          if (typeof value === 'number') row[name] = value
        }
        values[service] = row
      }
      this.append({ at, services: values })
    })
  }

  append({ at, services }: Pick<Snapshot, 'at' | 'services'>): void {
    const last = this.at.at(-1)
    if (last !== undefined && at <= last) return
    if (last !== undefined && at - last > GAP_MS) this.#push(last + 1_000, {})
    this.#push(at, services)
    let outdated = Math.max(0, this.at.length - POINTS_MAX)
    while ((this.at[outdated] as number) < at - SPAN_MS) outdated += 1
    if (outdated === 0) return
    this.at.splice(0, outdated)
    for (const columns of this.#services.values())
      for (const column of columns.values()) column.splice(0, outdated)
  }

  get services(): string[] {
    return [...this.#services.keys()].sort()
  }

  /** One service's series, or all services' combined; null where nothing was measured. */
  column(service: string | undefined, name: SeriesName, combination: Combination): Column {
    const columns = [...this.#services]
      .filter(([each]) => service === undefined || each === service)
      .map(([, series]) => series.get(name))
      .filter((column) => column !== undefined)
    if (columns.length === 1 && columns[0]) return columns[0]
    return this.at.map((_, index) =>
      combine(
        columns.map((column) => column[index]),
        combination,
      ),
    )
  }

  #push(at: number, services: Readonly<Record<string, Values>>): void {
    this.at.push(at)
    for (const [service, values] of Object.entries(services)) {
      const columns = this.#services.get(service) ?? new Map<string, Column>()
      this.#services.set(service, columns)
      for (const name of Object.keys(values))
        if (!columns.has(name)) columns.set(name, new Array(this.at.length - 1).fill(null))
    }
    for (const [service, columns] of this.#services) {
      const values = services[service] as Readonly<Record<string, number>> | undefined
      for (const [name, column] of columns) column.push(values?.[name] ?? null)
    }
  }
}

/** Null where there is no value at all. */
export function combine(values: readonly (number | null | undefined)[], how: Combination): number | null {
  let result: number | null = null
  for (const value of values) {
    if (value === null || value === undefined) continue
    if (result === null) result = value
    else result = how === 'sum' ? result + value : Math.max(result, value)
  }
  return result
}
