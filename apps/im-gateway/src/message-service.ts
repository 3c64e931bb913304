import type { Bus } from '@carillon/bus'
import { im } from '@carillon/codec'
import { IM_RPC_TIMEOUT_MS, im as subjects } from '@carillon/events'
import type { ImIdentity } from './authenticate.ts'
import { Code, type MessageEvent } from './protocol.ts'

const { rpc } = im

/** A conversation as one of its members sees it. */
export interface Membership {
  readonly convId: string
  /** Grows with every message and change of members. */
  readonly version: bigint
  readonly maxSeq: bigint
  /** What the user may see is above this. */
  readonly minSeq: bigint
}

export interface PendingNotices {
  /** Encoded NoticeData, oldest first. */
  readonly notices: readonly Uint8Array[]
  /** There are more behind these. */
  readonly more: boolean
}

/** What was stored in a conversation after a sequence number. */
export interface CaughtUp {
  readonly convId: string
  readonly maxSeq: bigint
  readonly lastSeq: bigint
  /** Encoded MsgData, oldest first. */
  readonly messages: readonly Uint8Array[]
}

const channels = {
  SendMsgList: subjects.sendMsgList,
  SyncConvSeq: subjects.syncConvSeq,
  SyncMsgList: subjects.syncMsgList,
  AckNotice: subjects.ackNotice,
  GetMsgById: subjects.getMsgById,
} as const

const OPTIONS = { timeoutMs: IM_RPC_TIMEOUT_MS }

/** Thrown for an answer that is no ClientResponse. */
export class BadAnswer extends Error {
  constructor(event: MessageEvent, options?: ErrorOptions) {
    super(`the answer to ${event} is not understood`, options)
  }
}

/** What only the message service knows. Every call ends in IM_RPC_TIMEOUT_MS, with an error if need be. */
export class MessageService {
  readonly #bus: Pick<Bus, 'request'>

  constructor(bus: Pick<Bus, 'request'>) {
    this.#bus = bus
  }

  /** Passes a client's request on as it came. @throws {Error} where there is no answer, {@link BadAnswer}. */
  async ask(
    event: MessageEvent,
    { userId, platform, deviceId }: ImIdentity,
    data: Uint8Array,
  ): Promise<{ readonly code: Code; readonly data: Uint8Array }> {
    const caller = { userId, platform, deviceId }
    const request = rpc.ClientRequest.encode({ caller, data }).finish()
    const answer = await this.#bus.request(channels[event], {}, request, OPTIONS)
    try {
      return rpc.ClientResponse.decode(answer)
    } catch (error) {
      throw new BadAnswer(event, { cause: error })
    }
  }

  /** The conversations of a user, page by page, at most so many. @throws {Error} without a good answer. */
  async conversations(userId: string, max: number): Promise<Membership[]> {
    const memberships: Membership[] = []
    let after = ''
    for (;;) {
      const request = rpc.ConversationsReq.encode({ userId, after }).finish()
      const answer = rpc.ConversationsResp.decode(
        await this.#bus.request(subjects.conversations, {}, request, OPTIONS),
      )
      succeeded(answer.code)
      for (const { convId, version, maxSeq, minSeq } of answer.memberships) {
        if (memberships.length >= max) return memberships
        memberships.push({
          convId: convId ?? '',
          version: decimal(version),
          maxSeq: decimal(maxSeq),
          // A message service that does not tell: nothing is asked for.
          minSeq: decimal(minSeq || maxSeq),
        })
      }
      const last = memberships.at(-1)?.convId
      if (!answer.more || last === undefined || last === after) return memberships
      after = last
    }
  }

  /** The first notices that a device has not acknowledged. @throws {Error} without a good answer. */
  async pendingNotices({ userId, platform, deviceId }: ImIdentity, limit: number): Promise<PendingNotices> {
    const request = rpc.PendingNoticesReq.encode({ caller: { userId, platform, deviceId }, limit }).finish()
    const answer = rpc.PendingNoticesResp.decode(
      await this.#bus.request(subjects.pendingNotices, {}, request, OPTIONS),
    )
    succeeded(answer.code)
    return { notices: answer.notices, more: answer.more }
  }

  /** What was stored after these sequence numbers; items may be left out from the end. @throws {Error} */
  async catchUp(after: readonly { readonly convId: string; readonly seq: bigint }[]): Promise<CaughtUp[]> {
    const items = after.map(({ convId, seq }) => ({ convId, afterSeq: String(seq) }))
    const request = rpc.CatchUpReq.encode({ items }).finish()
    const answer = rpc.CatchUpResp.decode(await this.#bus.request(subjects.catchUp, {}, request, OPTIONS))
    succeeded(answer.code)
    return answer.items.map(({ convId, maxSeq, lastSeq, messages }) => ({
      convId: convId ?? '',
      maxSeq: decimal(maxSeq),
      lastSeq: decimal(lastSeq),
      messages: messages ?? [],
    }))
  }
}

function succeeded(code: Code): void {
  if (code !== Code.Success) throw new Error(`the message service answered with code ${Code[code] ?? code}`)
}

/** A decimal text of at most 19 digits; 0 for anything else. */
export function decimal(text: string | null | undefined): bigint {
  return text && /^\d{1,19}$/.test(text) ? BigInt(text) : 0n
}
