/** Limits of a listener. Every one is an option with a default; see the app's PROTOCOL.md. */
export interface Limits {
  /** Connections of the whole instance; a live setting. */
  connectionsMax: number
  /** TCP sockets beyond the connections: those that are becoming one, and those that are told why not. */
  readonly socketsMargin: number
  readonly connectionsPerAddressMax: number
  readonly connectionsPerUserMax: number
  /** A larger frame is refused with an error. */
  readonly frameBytesMax: number
  /** A frame beyond this is not even received: the connection is closed with 1009. */
  readonly frameBytesHardMax: number
  /** Frames a second, pings and pongs included … */
  readonly framesPerSecondMax: number
  /** … over a burst of so many. */
  readonly framesBurstMax: number
  /** The same over all connections of one user in this instance. */
  readonly framesPerSecondPerUserMax: number
  readonly framesBurstPerUserMax: number
  /** Fragments of one message, and pieces of one frame as the network delivers them. */
  readonly fragmentsMax: number
  readonly piecesMax: number
  /** From the first byte of a message to its last one. */
  readonly unfinishedMessageMs: number
  /** Bytes of messages that are not complete, over all connections of one user and of the instance. */
  readonly unfinishedBytesPerUserMax: number
  readonly unfinishedBytesMax: number
  /** Bytes that may wait for a client. */
  readonly outboxBytesMax: number
  /** From the TCP connection to the end of the upgrade request, and to authentication where that comes later. */
  readonly unauthenticatedMs: number
  /** Connections that have not authenticated yet, where that comes after the upgrade. */
  readonly unauthenticatedMax: number
  /** More refused frames than this within `violationsWindowMs` close the connection. */
  readonly violationsMax: number
  readonly violationsWindowMs: number
  /** How long a client may take to answer a close frame. */
  readonly closeMs: number
}

export const defaultLimits: Limits = {
  connectionsMax: 50_000,
  socketsMargin: 1_000,
  connectionsPerAddressMax: 20_000,
  connectionsPerUserMax: 2_000,
  frameBytesMax: 16_384,
  frameBytesHardMax: 262_144,
  framesPerSecondMax: 100,
  framesBurstMax: 200,
  framesPerSecondPerUserMax: 400,
  framesBurstPerUserMax: 800,
  fragmentsMax: 64,
  piecesMax: 512,
  unfinishedMessageMs: 10_000,
  unfinishedBytesPerUserMax: 4_194_304,
  unfinishedBytesMax: 67_108_864,
  outboxBytesMax: 1_048_576,
  unauthenticatedMs: 10_000,
  unauthenticatedMax: 5_000,
  violationsMax: 20,
  violationsWindowMs: 10_000,
  closeMs: 2_000,
}

/** A token bucket: so many a second, over a burst. */
export class RateLimit {
  #tokens: number
  #atMs: number

  constructor(burst: number, nowMs: number) {
    this.#tokens = burst
    this.#atMs = nowMs
  }

  take(limits: Pick<Limits, 'framesPerSecondMax' | 'framesBurstMax'>, nowMs: number): boolean {
    const earned = (Math.max(0, nowMs - this.#atMs) * limits.framesPerSecondMax) / 1_000
    this.#tokens = Math.min(limits.framesBurstMax, this.#tokens + earned)
    this.#atMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Milliseconds until a whole burst is allowed again; 0 where it is. */
  fullInMs(limits: Pick<Limits, 'framesPerSecondMax' | 'framesBurstMax'>, nowMs: number): number {
    const missing = limits.framesBurstMax - this.#tokens
    return Math.max(0, (missing * 1_000) / limits.framesPerSecondMax - (nowMs - this.#atMs))
  }
}

/** Counts violations in a window that begins with the first of them. */
export class ViolationCounter {
  #count = 0
  #sinceMs = 0

  /** Counts one violation; answers whether they are too many now. */
  add(limits: Pick<Limits, 'violationsMax' | 'violationsWindowMs'>, nowMs: number): boolean {
    if (nowMs - this.#sinceMs > limits.violationsWindowMs) {
      this.#sinceMs = nowMs
      this.#count = 0
    }
    this.#count += 1
    return this.#count > limits.violationsMax
  }
}
