/** How long a client waits before its next try; `attempt` counts from 0. */
export type BackOff = (attempt: number, random: () => number) => number

export const BASE_MS = 1_000
export const CAP_MS = 30_000

/** Anything from nothing to twice as much each time: clients that were cut off together come back spread. */
export const fullJitter: BackOff = (attempt, random) => random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt)

/** What a client without jitter does, for comparison. */
export const withoutJitter: BackOff = (attempt) => Math.min(CAP_MS, BASE_MS * 2 ** attempt)
