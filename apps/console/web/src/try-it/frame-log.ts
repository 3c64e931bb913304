/** What happened on a connection, newest first. */
export interface LogEntry {
  readonly number: number
  readonly at: number
  readonly kind: 'in' | 'out' | 'note' | 'state' | 'error'
  readonly text: string
  /** Of the frame, where it is one. */
  readonly bytes: number | undefined
}

/** The page keeps this many; older ones are let go of. */
const ENTRIES_MAX = 300
/** Characters shown of one frame. */
const TEXT_MAX = 4_096

let lastNumber = 0

export function addEntry(
  log: readonly LogEntry[],
  kind: LogEntry['kind'],
  data: string | Uint8Array,
): readonly LogEntry[] {
  lastNumber += 1
  const bytes = kind === 'in' || kind === 'out' ? byteLength(data) : undefined
  const entry: LogEntry = { number: lastNumber, at: Date.now(), kind, text: shorten(textOf(data)), bytes }
  return [entry, ...log.slice(0, ENTRIES_MAX - 1)]
}

const byteLength = (data: string | Uint8Array) =>
  typeof data === 'string' ? new TextEncoder().encode(data).length : data.length

/** Binary frames as hexadecimal bytes. */
function textOf(data: string | Uint8Array): string {
  if (typeof data === 'string') return data
  const shown = data.subarray(0, TEXT_MAX / 3)
  return Array.from(shown, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

const shorten = (text: string) => (text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)} …` : text)
