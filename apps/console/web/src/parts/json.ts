/** Whatever came, as text to read. */
export function prettyJson(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value, null, 2)
}

export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: string }

/** A number with more digits than a double holds is refused: it would be sent as another number. */
export function parseJson(text: string): Parsed {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : 'This is no JSON.' }
  }
  const inexact = inexactInteger(value)
  if (inexact !== undefined)
    return { ok: false, reason: `${inexact} is beyond what a JSON number holds exactly.` }
  return { ok: true, value }
}

function inexactInteger(value: unknown): number | undefined {
  if (typeof value === 'number') return Math.abs(value) > Number.MAX_SAFE_INTEGER ? value : undefined
  if (typeof value !== 'object' || value === null) return undefined
  for (const each of Object.values(value)) {
    const found = inexactInteger(each)
    if (found !== undefined) return found
  }
  return undefined
}
