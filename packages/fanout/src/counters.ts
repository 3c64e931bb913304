/** What fan-out has done so far, for the metrics. */
export interface Counters {
  /** Messages handed to sockets. */
  deliveries: number
  /** Writes that did so: less than deliveries, because those of one tick share a write. */
  writes: number
  bytes: number
  /** Messages replaced by a newer one of the same key before they were sent. */
  conflated: number
  /** Messages thrown away because a socket's outbox was full. */
  dropped: number
  slowConsumers: number
  /** Told how old a held message was when it was sent at last, in milliseconds. */
  onReleased: (ageMs: number) => void
}

export function createCounters(): Counters {
  return { deliveries: 0, writes: 0, bytes: 0, conflated: 0, dropped: 0, slowConsumers: 0, onReleased() {} }
}
