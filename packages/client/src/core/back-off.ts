export interface BackOff {
  /** The first attempt again comes within this time. Default 1000. */
  readonly baseMs: number
  /** Later attempts come within twice as long each time, but within no more than this. Default 30000. */
  readonly maxMs: number
  /** Consecutive failed attempts after which the client gives up. Default: never. */
  readonly attemptsMax: number
  /** A connection that was open for as long begins the count anew. Default 10000. */
  readonly stableMs: number
}

export const defaultBackOff: BackOff = {
  baseMs: 1_000,
  maxMs: 30_000,
  attemptsMax: Infinity,
  stableMs: 10_000,
}

/**
 * Full jitter: any time up to the limit, so that the clients of an instance that went away do not come back in step.
 * @param failures attempts that failed in a row, 0 after a connection that was stable
 * @param random from 0 to 1
 */
export function reconnectDelayMs(failures: number, { baseMs, maxMs }: BackOff, random: number): number {
  return random * Math.min(maxMs, baseMs * 2 ** Math.min(failures, 30))
}
