import type { ServiceSource } from './services.ts'
import { table } from './table.ts'

/** Every close code of every protocol. */
export function closeCodesText(sources: readonly ServiceSource[]): string {
  const services = new Map<string, string[]>()
  const rows = new Map<string, readonly [code: string, reason: string, reconnect: string]>()
  for (const { name, closeCodes } of sources) {
    for (const { code, reason, reconnect } of Object.values(closeCodes ?? {})) {
      const row = [String(code), reason, reconnect ? 'yes' : 'no'] as const
      const key = row.join()
      rows.set(key, row)
      services.set(key, [...new Set([...(services.get(key) ?? []), name])])
    }
  }
  const sorted = [...rows].sort(([, [a, x]], [, [b, y]]) => Number(a) - Number(b) || x.localeCompare(y))
  const gateways = sources.filter(({ closeCodes }) => closeCodes).length
  return table(
    ['code', 'reason', 'reconnect', 'services'],
    sorted.map(([key, row]) => {
      const names = services.get(key) ?? []
      return [...row, names.length === gateways ? 'all with connections' : names.join(', ')]
    }),
  )
}
