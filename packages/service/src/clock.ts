/**
 * Two clocks, because they answer different questions. A duration measured by wall time is wrong as soon as
 * somebody sets the clock.
 */
export interface Clock {
  /** Wall time in milliseconds since the epoch, for what a token or a message names. It may jump. */
  now(): number
  /** Monotonic time in milliseconds since an arbitrary moment, for durations. It never jumps or goes back. */
  monotonic(): number
}

export const systemClock: Clock = { now: Date.now, monotonic: () => performance.now() }
