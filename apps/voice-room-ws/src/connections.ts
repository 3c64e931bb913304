import { randomUUID } from 'node:crypto'
import { textFrame } from '@carillon/codec'
import type { VoiceDeliver, VoiceReason } from '@carillon/events'
import { isVoiceAction } from '@carillon/events'
import type { Connection } from '@carillon/gateway'
import { Deliveries } from './deliveries.ts'
import type { AttemptRef } from './relays.ts'

/** A client's connection to this instance, after its sid was accepted. */
export interface Member {
  /** Unique over all instances and all time. */
  readonly id: string
  readonly userId: string
  readonly connection: Connection
  /** Wall time, in milliseconds since the epoch. */
  readonly openedAtMs: number
  /** The connection that was the user's when this one was opened, as far as it was known here. */
  readonly predecessor: string | undefined
  readonly deliveries: Deliveries
  /** The lease under which it is the user's; undefined until that is stored. */
  lease: string | undefined
  /** Monotonic: when it took the place of a connection that may be the newer one. */
  contestedAtMs: number | undefined
  ended: boolean
  /** We have sent it away ourselves, to come back at once. */
  handedOver: boolean
  /** Why it ends, where it was not the client's doing. */
  reason: VoiceReason
  /** The channels it hears broadcasts of. */
  channels: readonly string[]
}

/** This instance's members by user: the newest connection of each. */
export class Connections {
  readonly #byUser = new Map<string, Member>()

  get size(): number {
    return this.#byUser.size
  }

  [Symbol.iterator](): IterableIterator<Member> {
    return this.#byUser.values()
  }

  ofUser(userId: string): Member | undefined {
    return this.#byUser.get(userId)
  }

  /** Adds a connection; answers the one that it replaces here. */
  add(
    userId: string,
    connection: Connection,
    predecessor: string | undefined,
  ): { readonly member: Member; readonly replaced: Member | undefined } {
    const replaced = this.#byUser.get(userId)
    const member: Member = {
      id: randomUUID(),
      userId,
      connection,
      openedAtMs: connection.openedAtMs,
      predecessor,
      deliveries: new Deliveries(),
      lease: undefined,
      contestedAtMs: undefined,
      ended: false,
      handedOver: false,
      reason: 'closed',
      channels: [],
    }
    this.#byUser.set(userId, member)
    return { member, replaced }
  }

  remove(member: Member): void {
    // Compare identity, not the user: a replaced connection must not remove its replacement.
    if (this.#byUser.get(member.userId) === member) this.#byUser.delete(member.userId)
  }

  /** Hands a notice to a connection of this instance. False: it is not here, or not any more. */
  deliver({ user_id, connection: id, action, about, frame, attempt, from }: VoiceDeliver): boolean {
    const member = this.#byUser.get(user_id)
    if (member?.id !== id || member.ended || !isVoiceAction(action)) return false
    const ref: AttemptRef = { attempt, from }
    member.deliveries.add({ attempt: ref, action, about: about === '' ? undefined : about })
    member.connection.send(textFrame(frame))
    return true
  }
}
