import { closeCodesText } from './close-codes.ts'
import { metricsText } from './metrics.ts'
import type { ServiceSource } from './services.ts'
import { replaceSection } from './table.ts'
import { variablesText } from './variables.ts'

/** docs/operations.md with its tables of variables, close codes and metrics as the code has them. */
export function withReference(page: string, sources: readonly ServiceSource[]): string {
  const sections = {
    variables: variablesText(sources),
    'close codes': closeCodesText(sources),
    metrics: metricsText(sources),
  }
  return Object.entries(sections).reduce(
    (text, [section, content]) => replaceSection(text, section, content),
    page,
  )
}
