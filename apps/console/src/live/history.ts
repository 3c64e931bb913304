import type { History as Columns, SeriesName, Snapshot, Values } from '../api.ts'

export const HISTORY_MS = 15 * 60_000

/** The numbers of the last fifteen minutes, as far as somebody looked. */
export class History {
  readonly #points: { readonly at: number; readonly services: Snapshot['services'] }[] = []

  add({ at, services }: Pick<Snapshot, 'at' | 'services'>): void {
    this.#points.push({ at, services })
    // Wall time, which may be set back: then the number of points still has a bound.
    while (this.#points.length > HISTORY_MS / 1_000 || (this.#points[0]?.at ?? at) < at - HISTORY_MS)
      this.#points.shift()
  }

  columns(): Columns {
    const services: Record<string, { [S in SeriesName]?: (number | null)[] }> = {}
    for (const [i, point] of this.#points.entries())
      for (const [service, values] of Object.entries(point.services)) {
        services[service] ??= {}
        this.#fill(services[service], values, i)
      }
    return { at: this.#points.map(({ at }) => at), services }
  }

  #fill(columns: { [S in SeriesName]?: (number | null)[] }, values: Values, at: number): void {
    for (const [name, value] of Object.entries(values) as [SeriesName, number][]) {
      columns[name] ??= new Array<number | null>(this.#points.length).fill(null)
      columns[name][at] = value
    }
  }
}
