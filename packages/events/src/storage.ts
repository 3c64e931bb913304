import type { Payload } from './payload.ts'

/** A JetStream stream as the contract fixes it. Plain data: the bus makes it so. */
export interface StreamDefinition {
  readonly name: string
  readonly summary: string
  readonly subjects: readonly string[]
  /** -1 for any number. */
  readonly messagesPerSubject: number
  readonly maxAgeMs: number
  /** What it may take on disk or in memory; the oldest messages go first. Default: what the server has. */
  readonly bytesMax?: number
  /** Nobody may delete a message before its time. */
  readonly appendOnly?: boolean
  /** Memory is lost with every restart of a single server: only for what the next publish makes good. */
  readonly storage: 'file' | 'memory'
  /** `workqueue`: a message is gone once it is acknowledged. Default: `limits`, it stays until it ages out. */
  readonly retention?: 'limits' | 'workqueue'
  /** false: publishers are told nothing, and a request's answer is somebody else's. */
  readonly acknowledges?: boolean
  /** How long a second message with the same `Nats-Msg-Id` is recognised; the server's default is two minutes. */
  readonly duplicatesMs?: number
}

/** A JetStream key-value bucket as the contract fixes it. */
export interface BucketDefinition<T> {
  readonly name: string
  readonly summary: string
  readonly value: Payload<T>
  readonly storage: 'file' | 'memory'
  /** Entries end this long after their last write; 0 keeps them. */
  readonly maxAgeMs: number
}

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
