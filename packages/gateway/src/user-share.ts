import { Deadline, type TimingWheel } from '@carillon/service'
import { type Limits, RateLimit } from './limits.ts'

/** What all connections of one user share in this instance, so that many cost no more than a few. */
export class UserShare {
  /** Frames, pings and pongs included, over all of the user's connections. */
  readonly frames: RateLimit
  /** What the user's connections are subscribed to, each subscription counted. */
  subscriptions = 0
  /** Bytes of messages that have begun and are not complete. */
  unfinishedBytes = 0
  connections = 0
  /** Set while the user has no connection and the rate limit still remembers the last ones. */
  forgetting: Deadline | undefined

  constructor(framesBurstMax: number, nowMs: number) {
    this.frames = new RateLimit(framesBurstMax, nowMs)
  }
}

/** The shares of all users with a connection, and of those who had one a moment ago. */
export class UserShares {
  readonly #shares = new Map<string, UserShare>()
  readonly #rate: Pick<Limits, 'framesPerSecondMax' | 'framesBurstMax'>
  readonly #wheel: TimingWheel
  readonly #nowMs: () => number

  constructor(
    limits: Pick<Limits, 'framesPerSecondPerUserMax' | 'framesBurstPerUserMax'>,
    wheel: TimingWheel,
    nowMs: () => number,
  ) {
    this.#rate = {
      framesPerSecondMax: limits.framesPerSecondPerUserMax,
      framesBurstMax: limits.framesBurstPerUserMax,
    }
    this.#wheel = wheel
    this.#nowMs = nowMs
  }

  get size(): number {
    return this.#shares.size
  }

  /** A connection of this user has opened, or has authenticated. */
  acquire(userId: string): UserShare {
    let share = this.#shares.get(userId)
    if (share === undefined) {
      share = new UserShare(this.#rate.framesBurstMax, this.#nowMs())
      this.#shares.set(userId, share)
    }
    if (share.forgetting) this.#wheel.clear(share.forgetting)
    share.forgetting = undefined
    share.connections += 1
    return share
  }

  /** One frame of a user; false where there have been too many. */
  takeFrame(share: UserShare): boolean {
    return share.frames.take(this.#rate, this.#nowMs())
  }

  /** A connection of this user has ended. Reconnecting does not begin a new burst. */
  release(userId: string): void {
    const share = this.#shares.get(userId)
    if (share === undefined) return
    share.connections -= 1
    if (share.connections > 0) return
    const fullInMs = share.frames.fullInMs(this.#rate, this.#nowMs())
    if (fullInMs === 0) return void this.#shares.delete(userId)
    share.forgetting = new Deadline({ due: () => void this.#shares.delete(userId) })
    this.#wheel.set(share.forgetting, fullInMs)
  }
}
