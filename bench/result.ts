/** One line of the results: what was measured, what it is held against, and whether it is reached. */
export interface Row {
  readonly what: string
  readonly measured: string
  readonly reach?: string
  readonly reached?: boolean
}

export interface CaseResult {
  readonly title: string
  readonly how: string
  readonly rows: readonly Row[]
  /** Bars to draw, longest is best. */
  readonly bars?: readonly { readonly label: string; readonly value: number }[]
  readonly unit?: string
  readonly notes?: readonly string[]
}

export const thousands = (value: number) => Math.round(value).toLocaleString('en')
export const ratio = (value: number) => `${value.toFixed(2)} ×`
export const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} ms`
export const percent = (value: number) => `±${(value * 100).toFixed(0)} %`
