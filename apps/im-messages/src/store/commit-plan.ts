import { parseConversationId } from '../conversation-id.ts'
import { limits } from '../limits.ts'
import type { IncomingMessage, PlacedMessage, StoredMessage } from '../message.ts'
import { badRequest, forbidden, type Refusal } from '../refusal.ts'
import type { Counters } from './conversations.ts'

/** Messages that are stored together or not at all: one request. */
export interface Send {
  readonly messages: readonly IncomingMessage[]
  /** Sent by an internal service, or accepted before: the senders need not be members now. */
  readonly trusted: boolean
  /** When they are due, if they are not to be sent now. */
  readonly dueAtMs?: number | undefined
}

/** What became of one message. */
export type Receipt =
  | { readonly type: 'stored'; readonly message: StoredMessage }
  /** It was stored before, under the same clientMsgId: this is the first one. */
  | { readonly type: 'duplicate'; readonly message: PlacedMessage; readonly senderId: string }
  | { readonly type: 'unstored'; readonly message: IncomingMessage; readonly serverTimeMs: number }
  | { readonly type: 'delayed'; readonly clientMsgId: string; readonly convId: string }

export type Outcome =
  | { readonly ok: true; readonly receipts: readonly Receipt[] }
  | { readonly ok: false; readonly refusal: Refusal }

/** What the database knows of what a plan is about, read while the conversations are locked. */
export interface Known {
  readonly conversations: ReadonlyMap<string, Counters>
  /** Keys are {@link memberKey}. */
  readonly members: ReadonlySet<string>
  /** Messages that are stored under the same clientMsgId. Keys are {@link messageKey}. */
  readonly stored: ReadonlyMap<string, PlacedMessage>
  /** Messages that are accepted and not due. */
  readonly delayed: ReadonlySet<string>
  /** How many messages of these senders are accepted and not due, where somebody asks for more. */
  readonly delayedCounts: ReadonlyMap<string, number>
}

/** A plan that was carried out. */
export interface Committed extends Plan {
  /** Conversations that were made for their first message. */
  readonly created: readonly string[]
}

/** What is to be written, in the order of places. */
export interface Plan {
  readonly outcomes: readonly Outcome[]
  readonly messages: readonly (StoredMessage & IncomingMessage)[]
  readonly delayed: readonly {
    readonly message: IncomingMessage
    readonly dueAtMs: number
    readonly index: number
  }[]
  readonly counters: ReadonlyMap<string, Counters>
}

export const memberKey = (convId: string, userId: string) => `${userId} ${convId}`
/** Neither a user id nor a conversation id has spaces. */
export const messageKey = ({ senderId, convId, clientMsgId }: MessageName) =>
  `${senderId} ${convId} ${clientMsgId}`

export interface MessageName {
  readonly senderId: string
  readonly convId: string
  readonly clientMsgId: string
}

/**
 * Gives every message of every accepted request its place: 1, 2, 3 … in its conversation, in the order in which the
 * requests came. A request that is refused leaves no trace.
 */
export function planCommit(sends: readonly Send[], known: Known, nowMs: number): Plan {
  const counters = new Map<string, Counters>()
  const messages: (StoredMessage & IncomingMessage)[] = []
  const delayed: { message: IncomingMessage; dueAtMs: number; index: number }[] = []
  const placed = new Map<string, PlacedMessage>(known.stored)
  const waiting = new Set<string>(known.delayed)
  const delayedCounts = new Map(known.delayedCounts)

  const place = (message: IncomingMessage): StoredMessage & IncomingMessage => {
    const before = counters.get(message.convId) ?? (known.conversations.get(message.convId) as Counters)
    const seq = before.maxSeq + 1
    counters.set(message.convId, { maxSeq: seq, outboxNo: before.outboxNo })
    return { ...message, seq, serverTimeMs: nowMs }
  }

  const outcomes = sends.map((send): Outcome => {
    for (const { convId, senderId } of send.messages) {
      const refusal = refuse(send, convId, senderId, known)
      if (refusal !== undefined) return { ok: false, refusal }
    }
    if (!countDelayed(send, known, delayedCounts)) {
      const max = limits.delayedMessagesMax
      return { ok: false, refusal: badRequest(`more than ${max} messages wait until they are due`) }
    }
    const receipts = send.messages.map((message, index): Receipt => {
      const key = messageKey(message)
      const { convId, senderId, clientMsgId } = message
      const first = placed.get(key)
      if (first !== undefined) return { type: 'duplicate', message: first, senderId }
      if (waiting.has(key)) return { type: 'delayed', convId, clientMsgId }
      if (send.dueAtMs !== undefined) {
        waiting.add(key)
        delayed.push({ message, dueAtMs: send.dueAtMs, index })
        return { type: 'delayed', convId, clientMsgId }
      }
      if (!message.stored) return { type: 'unstored', message, serverTimeMs: nowMs }
      const stored = place(message)
      placed.set(key, stored)
      messages.push(stored)
      return { type: 'stored', message: stored }
    })
    return { ok: true, receipts }
  })
  return { outcomes, messages, delayed, counters }
}

export interface Unstored {
  readonly convId: string
  readonly serverTimeMs: number
  readonly messages: readonly IncomingMessage[]
}

/** Messages that are pushed and not stored, by conversation, in the order of their coming. */
export function unstoredOf({ outcomes }: Pick<Plan, 'outcomes'>): Unstored[] {
  const unstored = new Map<string, Unstored & { readonly messages: IncomingMessage[] }>()
  for (const outcome of outcomes) {
    for (const receipt of outcome.ok ? outcome.receipts : []) {
      if (receipt.type !== 'unstored') continue
      const { message, serverTimeMs } = receipt
      const { convId } = message
      const of = unstored.get(convId)
      if (of === undefined) unstored.set(convId, { convId, serverTimeMs, messages: [message] })
      else of.messages.push(message)
    }
  }
  return [...unstored.values()]
}

/** Counts what is to wait until it is due; answers whether its sender may have so many. Those that wait already do. */
function countDelayed(
  { messages, trusted, dueAtMs }: Send,
  known: Known,
  counts: Map<string, number>,
): boolean {
  const senderId = messages[0]?.senderId
  if (trusted || dueAtMs === undefined || senderId === undefined) return true
  const fresh = new Set(
    messages.map(messageKey).filter((key) => !known.stored.has(key) && !known.delayed.has(key)),
  )
  const count = (counts.get(senderId) ?? 0) + fresh.size
  if (fresh.size > 0 && count > limits.delayedMessagesMax) return false
  counts.set(senderId, count)
  return true
}

function refuse(
  send: Send,
  convId: string,
  senderId: string,
  known: Pick<Known, 'conversations' | 'members'>,
): Refusal | undefined {
  if (known.conversations.has(convId)) {
    if (send.trusted || known.members.has(memberKey(convId, senderId))) return undefined
    return forbidden(`not a member of ${convId}`)
  }
  // Whether a group exists is nobody's business but its members'.
  return send.trusted
    ? badRequest(`there is no conversation ${convId}`)
    : forbidden(`not a member of ${convId}`)
}

/** The conversations of two users that are to be made for their first messages: those of no request that is refused. */
export function singlesToCreate(
  sends: readonly Send[],
  known: Known,
): Map<string, readonly [string, string]> {
  const singles = new Map<string, readonly [string, string]>()
  const delayedCounts = new Map(known.delayedCounts)
  for (const send of sends) {
    const own = new Map<string, readonly [string, string]>()
    const accepted = send.messages.every(({ convId, senderId }) => {
      if (known.conversations.has(convId)) return refuse(send, convId, senderId, known) === undefined
      const conversation = parseConversationId(convId)
      if (conversation?.kind !== 'single') return false
      own.set(convId, conversation.members)
      return send.trusted || conversation.members.includes(senderId)
    })
    if (accepted && countDelayed(send, known, delayedCounts))
      for (const [convId, members] of own) singles.set(convId, members)
  }
  return singles
}
