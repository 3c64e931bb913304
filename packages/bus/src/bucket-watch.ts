import type { Payload } from '@carillon/events'
import { DeliverPolicy, type JsMsg } from '@nats-io/jetstream'
import type { Connection } from './connection.ts'
import { readOrdered } from './ordered-reader.ts'
import type { Rejections } from './rejections.ts'
import type { Storage } from './storage.ts'

/**
 * What a watcher learns: a value, `undefined` for a deleted key, or the reason why a value was refused. `revision`
 * is undefined where a key went away while the watcher was.
 */
export type Change<T> =
  | { readonly key: string; readonly value: T | undefined; readonly revision: number | undefined }
  | { readonly key: string; readonly refused: string; readonly revision: number }

export interface WatchOptions {
  /** A key, or keys with wildcards: `room.*`, `user.42.>`. Default: all. */
  readonly filter?: string
  /** Called each time all values there were have been told: at the start, and after each reconnect. */
  readonly onSynced?: () => void
}

interface WatchParts<T> extends WatchOptions {
  readonly connection: Connection
  readonly storage: Storage
  readonly rejections: Rejections
  readonly bucket: string
  readonly value: Payload<T>
  readonly changed: (change: Change<T>) => void
}

const OPERATION = 'KV-Operation'

export function watch<T>(parts: WatchParts<T>): () => void {
  const { bucket, filter = '>', value, rejections, changed, onSynced } = parts
  const prefix = `$KV.${bucket}.`
  const known = new Set<string>()
  /** Keys that were known before the stream was opened, and have not been told again. */
  let absent = new Set<string>()
  let synced = false

  const settle = () => {
    if (synced) return
    synced = true
    for (const key of absent) {
      known.delete(key)
      changed({ key, value: undefined, revision: undefined })
    }
    absent.clear()
    onSynced?.()
  }

  const tell = (message: JsMsg) => {
    const key = message.subject.slice(prefix.length)
    const revision = message.seq
    absent.delete(key)
    const operation = message.headers?.get(OPERATION)
    if (operation === 'DEL' || operation === 'PURGE') {
      known.delete(key)
      return changed({ key, value: undefined, revision })
    }
    known.add(key)
    const decoded = value.decode(message.data)
    if (decoded.ok) return changed({ key, value: decoded.value, revision })
    changed({ key, refused: rejections.add(message.subject, decoded.reason), revision })
  }

  return readOrdered({
    connection: parts.connection,
    storage: parts.storage,
    filter: prefix + filter,
    start: () => ({ deliver_policy: DeliverPolicy.LastPerSubject }),
    opened(pending) {
      absent = new Set(known)
      synced = false
      if (pending === 0) settle()
    },
    message(message) {
      try {
        tell(message)
      } finally {
        if (message.info.pending === 0) settle()
      }
    },
  })
}
