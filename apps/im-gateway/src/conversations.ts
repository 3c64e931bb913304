import type { Bus, Subscription } from '@carillon/bus'
import { IM_SEQ_HEADER, im } from '@carillon/events'
import { decimal } from './message-service.ts'

/** A conversation that somebody here is a member of. */
interface Followed {
  readonly subscription: Subscription
  members: number
  /** The highest sequence number that was pushed, or that was stored when it was first followed. */
  lastSeq: bigint
}

/** A push of a conversation as it came. */
export interface ConversationPush {
  readonly topic: string
  readonly bytes: Uint8Array
  readonly publishedAtMs: number | undefined
}

/** The conversations that users with a connection here are members of: one NATS subscription for each. */
export class Conversations {
  readonly #bus: Pick<Bus, 'subscribe'>
  readonly #push: (push: ConversationPush) => void
  readonly #followed = new Map<string, Followed>()

  constructor(bus: Pick<Bus, 'subscribe'>, push: (push: ConversationPush) => void) {
    this.#bus = bus
    this.#push = push
  }

  get size(): number {
    return this.#followed.size
  }

  has(convId: string): boolean {
    return this.#followed.has(convId)
  }

  /** The topic of a conversation is its subject. */
  topicOf(convId: string): string {
    return im.pushConv.subject({ convId })
  }

  /** One user more is a member; `maxSeq` is what is stored by now. */
  follow(convId: string, maxSeq: bigint): void {
    const followed = this.#followed.get(convId)
    if (followed !== undefined) {
      followed.members += 1
      return
    }
    const subscription = this.#bus.subscribe(im.pushConv, { convId }, ({ bytes, header, publishedAtMs }) => {
      this.pushed(convId, decimal(header(IM_SEQ_HEADER)))
      this.#push({ topic: this.topicOf(convId), bytes, publishedAtMs })
    })
    this.#followed.set(convId, { subscription, members: 1, lastSeq: maxSeq })
  }

  /** One user less is a member; after the last one nothing is received any more. */
  leave(convId: string): void {
    const followed = this.#followed.get(convId)
    if (followed === undefined) return
    followed.members -= 1
    if (followed.members > 0) return
    followed.subscription.unsubscribe()
    this.#followed.delete(convId)
  }

  /** Messages up to this sequence number have been pushed. */
  pushed(convId: string, seq: bigint): void {
    const followed = this.#followed.get(convId)
    if (followed !== undefined && seq > followed.lastSeq) followed.lastSeq = seq
  }

  /** Up to where each conversation was pushed. */
  positions(): { readonly convId: string; readonly seq: bigint }[] {
    return [...this.#followed].map(([convId, { lastSeq }]) => ({ convId, seq: lastSeq }))
  }

  stop(): void {
    for (const { subscription } of this.#followed.values()) subscription.unsubscribe()
    this.#followed.clear()
  }
}
