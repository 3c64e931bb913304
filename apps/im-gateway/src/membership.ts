import { decimal, type Membership } from './message-service.ts'

/** A change of a conversation's members, as far as one user is concerned. */
export interface MemberChange {
  readonly convId: string
  readonly version: bigint
  readonly maxSeq: bigint
  readonly member: boolean
}

/** What is to be done for a user's connections. */
export type MembershipEffect =
  | { readonly type: 'follow'; readonly convId: string; readonly maxSeq: bigint }
  | { readonly type: 'leave'; readonly convId: string }

interface Known {
  readonly version: bigint
  readonly member: boolean
}

/**
 * The conversations of one user, put together from the message service's list and from the changes that it
 * publishes. Both carry versions, because a change may arrive before or after a list that contains it, and
 * changes may overtake each other. Conversations that the user has left are remembered for that reason.
 */
export class Memberships {
  readonly #known = new Map<string, Known>()
  readonly #max: number
  #following = 0
  /** Conversations that changed while a list was being asked for. */
  #changedMeanwhile: Set<string> | undefined

  /** `max`: how many conversations are followed at most. */
  constructor(max: number) {
    this.#max = max
  }

  /** The conversations that are followed. */
  *[Symbol.iterator](): Generator<string> {
    for (const [convId, { member }] of this.#known) if (member) yield convId
  }

  get size(): number {
    return this.#following
  }

  has(convId: string): boolean {
    return this.#known.get(convId)?.member ?? false
  }

  /** A list is being asked for from now on. */
  asking(): void {
    this.#changedMeanwhile = new Set()
  }

  /** The list has come: it replaces what is known, except for what has changed since it was asked for. */
  listed(memberships: readonly Omit<Membership, 'minSeq'>[]): MembershipEffect[] {
    const effects: MembershipEffect[] = []
    const listed = new Set(memberships.map(({ convId }) => convId))
    const changed = this.#changedMeanwhile
    this.#changedMeanwhile = undefined
    for (const [convId, { version }] of [...this.#known]) {
      // Who is not on the list may have been added since: the change has said so, or is about to.
      if (listed.has(convId) || changed?.has(convId)) continue
      effects.push(...this.#set(convId, { version, member: false }, 0n))
    }
    for (const { convId, version, maxSeq } of memberships) {
      const known = this.#known.get(convId)
      if (known === undefined || version >= known.version)
        effects.push(...this.#set(convId, { version, member: true }, maxSeq))
    }
    return effects
  }

  /** The members of a conversation have changed; what is contained in what is known already does nothing. */
  changed({ convId, version, maxSeq, member }: MemberChange): MembershipEffect[] {
    this.#changedMeanwhile?.add(convId)
    const known = this.#known.get(convId)
    if (known !== undefined && version <= known.version) return []
    return this.#set(convId, { version, member }, maxSeq)
  }

  /** Leaves everything. */
  clear(): MembershipEffect[] {
    const effects = [...this].map((convId) => ({ type: 'leave', convId }) as const)
    this.#known.clear()
    this.#following = 0
    return effects
  }

  #set(convId: string, next: Known, maxSeq: bigint): MembershipEffect[] {
    const wasMember = this.has(convId)
    if (next.member && !wasMember) {
      if (this.#following >= this.#max) return []
      this.#following += 1
      this.#known.set(convId, next)
      return [{ type: 'follow', convId, maxSeq }]
    }
    this.#known.set(convId, next)
    if (next.member || !wasMember) return []
    this.#following -= 1
    return [{ type: 'leave', convId }]
  }
}

/** What a published MembersChanged says of one of its users. */
export function memberChange(
  { convId, version, maxSeq }: { convId: string; version: string; maxSeq: string },
  member: boolean,
): MemberChange {
  return { convId, version: decimal(version), maxSeq: decimal(maxSeq), member }
}
