import type { Bus } from '@carillon/bus'
import type { EndPoints } from './end-points.ts'
import type { Sessions } from './sessions.ts'

export interface TrafficOptions {
  readonly clients: number
  readonly bus: Bus
  readonly endPoints: EndPoints
  readonly sessions: Sessions
  readonly random: () => number
}

/** The clients of one protocol, and what internal services publish to them. */
export interface Traffic {
  /** Connects everybody and begins to publish. */
  start(): Promise<void>
  /** Stops publishing, waits until what was published has arrived or cannot any more, and answers what was missed. */
  finish(): Promise<Outcome>
  /** Closes everything. */
  stop(): void
}

export interface Outcome {
  /** Messages that were published while clients were there or coming back, times these clients. */
  readonly expected: number
  /** Of these, the ones that a client never got. */
  readonly missed: number
  /** Promises that did not hold. */
  readonly broken: readonly string[]
  readonly notes?: readonly string[]
}
