import { randomUUID } from 'node:crypto'
import { im } from '@carillon/codec'
import type { ConvMembers, ImMessage, ImSend, ImSent } from '@carillon/events'
import { parseConversationId, serverMsgIdOf } from '../conversation-id.ts'
import type { Database, Session } from '../database/database.ts'
import type { GroupCommit } from '../group-commit.ts'
import { limits } from '../limits.ts'
import { acceptMessage } from '../message.ts'
import { badRequest } from '../refusal.ts'
import type { Receipt } from '../store/commit-plan.ts'
import { changeMembers, createConversation, lockConversations } from '../store/conversations.ts'
import { membersOf } from '../store/history.ts'
import { wellFormed } from '../well-formed.ts'
import { checkCount, dueAt } from './send-messages.ts'

/** `im.conv.put`: makes a conversation, or gives it exactly these members. @throws {Refusal} */
export function putConversation(database: Database, request: ConvMembers, nowMs: number): Promise<void> {
  const { convId } = request
  const members = checkMembers(request)
  const conversation = parseConversationId(convId)
  if (conversation?.kind === 'single') {
    const same = members.size === 2 && conversation.members.every((userId) => members.has(userId))
    if (!same) throw badRequest(`the members of ${convId} are ${conversation.members.join(' and ')}`)
  }
  return database.transaction(async (session) => {
    await createConversation(session, convId, nowMs)
    await change(session, convId, nowMs, (before) => ({
      added: [...members].filter((userId) => !before.has(userId)),
      removed: [...before].filter((userId) => !members.has(userId)),
    }))
  })
}

/** `im.conv.add_members`. @throws {Refusal} */
export function addMembers(database: Database, request: ConvMembers, nowMs: number): Promise<void> {
  const members = checkMembers(request)
  refuseSingle(request.convId)
  return database.transaction((session) =>
    change(session, request.convId, nowMs, (before) => ({
      added: [...members].filter((userId) => !before.has(userId)),
      removed: [],
    })),
  )
}

/** `im.conv.remove_members`. @throws {Refusal} */
export function removeMembers(database: Database, request: ConvMembers, nowMs: number): Promise<void> {
  const members = checkMembers(request)
  refuseSingle(request.convId)
  return database.transaction((session) =>
    change(session, request.convId, nowMs, (before) => ({
      added: [],
      removed: [...members].filter((userId) => before.has(userId)),
    })),
  )
}

function checkMembers({ convId, members }: ConvMembers): ReadonlySet<string> {
  const conversation = parseConversationId(convId)
  if (conversation === undefined) throw badRequest('convId is not the id of a conversation')
  if (conversation.kind === 'notice') throw badRequest('a notice channel has no members')
  return new Set(members)
}

function refuseSingle(convId: string): void {
  if (parseConversationId(convId)?.kind === 'single') {
    throw badRequest('the members of a conversation of two do not change')
  }
}

async function change(
  session: Session,
  convId: string,
  nowMs: number,
  decide: (before: ReadonlySet<string>) => { added: string[]; removed: string[] },
): Promise<void> {
  const counters = (await lockConversations(session, [convId])).get(convId)
  if (counters === undefined) throw badRequest(`there is no conversation ${convId}`)
  const before = new Set(await membersOf(session, convId))
  const { added, removed } = decide(before)
  if (before.size + added.length - removed.length > limits.membersMax) {
    throw badRequest(`a conversation has at most ${limits.membersMax} members`)
  }
  await changeMembers(session, convId, counters, { added, removed }, nowMs)
}

/** `im.msg.send`: messages in the name of users, who need not be members. @throws {Refusal} */
export async function sendInternal(
  group: GroupCommit,
  { msgDataList, deliverAfter }: ImSend,
  nowMs: number,
): Promise<Pick<ImSent, 'msgDataList'>> {
  checkCount(msgDataList.length)
  const messages = msgDataList.map((message) => acceptMessage(fromJson(message), message.senderId, nowMs))
  const outcome = await group.submit({ messages, trusted: true, dueAtMs: dueAt(deliverAfter, nowMs) })
  if (!outcome.ok) throw outcome.refusal
  return {
    msgDataList: outcome.receipts.map((receipt, i) => describe(receipt, messages[i]?.clientMsgId ?? '')),
  }
}

function fromJson(message: ImMessage): im.MsgData.$Properties {
  const bytes = (text: string | undefined) => Buffer.from(text ?? '', 'base64')
  const { clientMsgId, atUsers, offlinePush } = message
  return im.MsgData.create({
    ...message,
    clientMsgId: wellFormed(clientMsgId ?? randomUUID()),
    ...(atUsers && { atUsers: atUsers.map(wellFormed) }),
    ...(offlinePush && {
      offlinePush: {
        title: wellFormed(offlinePush.title ?? ''),
        content: wellFormed(offlinePush.content ?? ''),
        payload: wellFormed(offlinePush.payload ?? ''),
      },
    }),
    content: bytes(message.content),
    senderInfo: bytes(message.senderInfo),
    ext: bytes(message.ext),
  } as im.MsgData.$Properties)
}

function describe(receipt: Receipt, clientMsgId: string) {
  switch (receipt.type) {
    case 'stored':
    case 'duplicate': {
      const { convId, seq, serverTimeMs } = receipt.message
      return {
        convId,
        clientMsgId,
        serverMsgId: serverMsgIdOf(convId, seq),
        seq: String(seq),
        serverTime: String(serverTimeMs),
      }
    }
    case 'unstored':
      return {
        convId: receipt.message.convId,
        clientMsgId,
        serverMsgId: '',
        seq: '0',
        serverTime: String(receipt.serverTimeMs),
      }
    case 'delayed':
      return { convId: receipt.convId, clientMsgId, serverMsgId: '', seq: '0', serverTime: '0' }
    default:
      return receipt satisfies never
  }
}
