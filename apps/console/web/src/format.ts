/** Numbers as people read them in a dense table. All take what the server sent, which may be absent. */

const byDigits = [2, 1, 0].map((digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits }))
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

/** No value: an en dash, so that a column of figures stays a column. */
export const NONE = '–'

type Maybe = number | null | undefined

const isNumber = (value: Maybe): value is number => typeof value === 'number' && Number.isFinite(value)

/** `1,234`, `12.3`, `0.12`: no more than two places after the point. */
export function formatNumber(value: Maybe): string {
  if (!isNumber(value)) return NONE
  const size = Math.abs(value)
  return (byDigits[size >= 100 ? 2 : size >= 10 ? 1 : 0] as Intl.NumberFormat).format(value)
}

/** `50K`, `1.2M` */
export const formatCompact = (value: Maybe): string => (isNumber(value) ? compact.format(value) : NONE)

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `1.5 MiB` */
export function formatBytes(value: Maybe): string {
  if (!isNumber(value)) return NONE
  let [amount, unit] = [value, 0]
  while (Math.abs(amount) >= 1024 && unit < byteUnits.length - 1) {
    amount /= 1024
    unit += 1
  }
  return `${formatNumber(unit === 0 ? Math.round(amount) : amount)} ${byteUnits[unit]}`
}

/** A duration in milliseconds: `0.4 ms`, `12 ms`, `1.2 s`. */
export function formatMs(value: Maybe): string {
  if (!isNumber(value)) return NONE
  return Math.abs(value) >= 1_000 ? `${formatNumber(value / 1_000)} s` : `${formatNumber(value)} ms`
}

/** How long something has been: `12 s`, `5 min`, `3 h 12 min`, `4 d 2 h`. */
export function formatAge(ms: Maybe): string {
  if (!isNumber(ms)) return NONE
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

const clockTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const dayTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })

/** `14:03:27`, of a time in milliseconds since the epoch. */
export const formatClock = (at: Maybe): string => (isTime(at) ? clockTime.format(at) : NONE)
/** `3 Dec 2021, 14:03:27` */
export const formatTime = (at: Maybe): string => (isTime(at) ? dayTime.format(at) : NONE)

/** What a Date can hold: a publisher's clock may say anything. */
const isTime = (at: Maybe): at is number => isNumber(at) && Math.abs(at) <= 8.64e15
