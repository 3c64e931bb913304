import type { Bus } from '@carillon/bus'
import { encodeMessagePush, encodeNoticePush } from '@carillon/codec'
import { IM_SEQ_HEADER, im } from '@carillon/events'
import type { Echo } from './echoes.ts'
import { limits } from './limits.ts'
import { printStored, printUnstored } from './message.ts'
import type { Unstored } from './store/commit-plan.ts'
import type { NoticeEntry } from './store/inbox.ts'
import type { Entry } from './store/outbox.ts'

/** How long the broker may take to say that it has what was published. */
const FLUSH_TIMEOUT_MS = 3_000

/** What this service publishes for gateways. */
export class Publisher {
  readonly #bus: Bus
  #pushes = 0

  constructor(bus: Bus) {
    this.#bus = bus
  }

  get pushes(): number {
    return this.#pushes
  }

  /** @throws {BusUnavailable}, or when the broker does not confirm in time: some of it may have been published. */
  async entries(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      const { kind, convId } = entry
      switch (kind) {
        case 'messages':
          this.#messages(convId, entry.messages, entry.lastSeq)
          break
        case 'members':
          this.#bus.publish(im.members, { convId }, entry.payload)
          break
        case 'unstored':
          this.#push(convId, [entry.payload])
          break
        default:
          kind satisfies never
      }
    }
    await this.flush()
  }

  /** One PushBody for each notice, to its user's connections. @throws as {@link entries} */
  async notices(entries: readonly NoticeEntry[]): Promise<void> {
    for (const { userId, body } of entries) this.notice(userId, body)
    await this.flush()
  }

  notice(userId: string, body: Uint8Array): void {
    this.#pushes += 1
    this.#bus.publish(im.pushUser, { userId }, encodeNoticePush([body]))
  }

  /** Messages of one conversation that are not stored, for who is connected. */
  unstored({ convId, messages, serverTimeMs }: Unstored): void {
    this.#messages(
      convId,
      messages.map((message) => printUnstored(message, serverTimeMs)),
    )
  }

  /** To their sender again: messages that were sent before. */
  echo({ senderId, messages }: Echo): void {
    this.#pushes += 1
    this.#bus.publish(im.pushUser, { userId: senderId }, encodeMessagePush(messages.map(printStored)))
  }

  /** Resolves when the broker has everything that was published before. */
  async flush(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('NATS did not confirm in time')), FLUSH_TIMEOUT_MS)
      timer.unref()
    })
    try {
      await Promise.race([this.#bus.roundTrip(), late])
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * As few pushes as the size of a NATS message allows. The last sequence number of each is known from behind; messages
   * that are not stored have none.
   */
  #messages(convId: string, messages: readonly Uint8Array[], lastSeq?: number): void {
    let first = 0
    let bytes = 0
    for (const [i, message] of messages.entries()) {
      if (i > first && bytes + message.length > limits.pushBytesMax) {
        this.#push(
          convId,
          messages.slice(first, i),
          lastSeq === undefined ? undefined : lastSeq - (messages.length - i),
        )
        first = i
        bytes = 0
      }
      bytes += message.length
    }
    this.#push(convId, messages.slice(first), lastSeq)
  }

  #push(convId: string, messages: readonly Uint8Array[], lastSeq?: number): void {
    this.#pushes += 1
    const headers = lastSeq === undefined ? {} : { headers: { [IM_SEQ_HEADER]: String(lastSeq) } }
    this.#bus.publish(im.pushConv, { convId }, encodeMessagePush(messages), headers)
  }
}
