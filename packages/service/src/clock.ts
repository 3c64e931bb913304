/** The time, in milliseconds since the epoch. Tests hand in one that they move. */
export interface Clock {
  now(): number
}

export const systemClock: Clock = { now: Date.now }
