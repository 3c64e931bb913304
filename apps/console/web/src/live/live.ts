import { signal } from '@preact/signals'
import type { History, LiveEnd, Snapshot } from '../../../src/api.ts'
import { loadSession } from '../session/session.ts'
import { MeasuredHistory } from './history.ts'

export type StreamState = 'connecting' | 'open' | 'lost'

/** The last snapshot; undefined before the first. */
export const snapshot = signal<Snapshot | undefined>(undefined)
export const streamState = signal<StreamState>('connecting')
/** Why the server ended the stream, where it is not opened again by itself at once. */
export const streamEnd = signal<LiveEnd['reason'] | undefined>(undefined)
/** Changes in place at each snapshot: read it where `snapshot` is read. */
export const history = new MeasuredHistory()

/** Without any event for so long the stream is taken for dead, though the browser has not noticed. */
const SILENCE_MS = 8_000
const [RETRY_MS, RETRY_MS_MAX] = [1_000, 15_000]

/** Keeps the live stream open; answers a function that ends it. */
export function openLiveStream(): () => void {
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let retryMs = RETRY_MS

  const retry = (): void => {
    source?.close()
    streamState.value = 'lost'
    clearTimeout(timer)
    timer = setTimeout(open, retryMs * (0.75 + Math.random() / 2))
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)
    // An EventSource does not tell its status: a session that has ended is told by this.
    void loadSession()
  }
  const heard = (): void => {
    clearTimeout(timer)
    timer = setTimeout(retry, SILENCE_MS)
  }
  function open(): void {
    source = new EventSource('/api/live')
    heard()
    source.addEventListener('history', ({ data }) => {
      heard()
      streamState.value = 'open'
      streamEnd.value = undefined
      history.replace(JSON.parse(data) as History)
    })
    source.addEventListener('snapshot', ({ data }) => {
      heard()
      const next = JSON.parse(data) as Snapshot
      retryMs = RETRY_MS
      history.append(next)
      snapshot.value = next
    })
    source.addEventListener('end', ({ data }) => {
      streamEnd.value = (JSON.parse(data) as LiveEnd).reason
      retry()
    })
    source.onerror = retry
  }

  open()
  return () => {
    clearTimeout(timer)
    source?.close()
  }
}
