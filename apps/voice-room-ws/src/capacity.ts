import type { Directory } from './directory.ts'

export interface CapacityLimits {
  readonly roomMembersMax: number
  /** Of all instances, connected or in a room or a call. */
  readonly usersMax: number
}

export type Full = 'room_full' | 'too_many_users'

/**
 * Whether rooms take one more. The numbers are those of this instance's copy of all users: several instances may let in
 * a few more at the same moment. The bound is there for memory, which every instance spends on every user.
 */
export class Capacity {
  readonly #directory: Directory
  readonly #limits: CapacityLimits
  /** Counts it. */
  readonly refused: (full: Full) => void

  constructor(directory: Directory, limits: CapacityLimits, refused: (full: Full) => void) {
    this.#directory = directory
    this.#limits = limits
    this.refused = refused
  }

  /** Why the user cannot be put into the channel; undefined if nothing is in the way, or the user is there already. */
  refusal(userId: string, channelName: string): Full | undefined {
    const directory = this.#directory
    const known = directory.get(userId)?.record
    if (known?.room?.channel_name === channelName || known?.call?.channel_name === channelName)
      return undefined
    if (known === undefined && directory.size >= this.#limits.usersMax) return 'too_many_users'
    return directory.countOf(channelName) >= this.#limits.roomMembersMax ? 'room_full' : undefined
  }
}
