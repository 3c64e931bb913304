import type { Bus } from '@carillon/bus'
import { decodeProto, im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { serverMsgIdOf } from './conversation-id.ts'
import type { Session } from './database/database.ts'
import { membersOf, messagesAt, type Place } from './store/history.ts'

/** Gateways answer within this time, or count as holding nobody. */
const PRESENCE_WAIT_MS = 500
const USERS_IN_QUERY_MAX = 5_000

/**
 * Tells internal services of the members that a message has not reached by a connection. Nobody keeps track of who is
 * connected: the gateways are asked, each time, for all the members together.
 */
export async function pushToOffline(bus: Bus, session: Session, places: readonly Place[], nowMs: number) {
  const messages = await messagesAt(session, places)
  const members = new Map<string, string[]>()
  for (const convId of new Set(messages.map((message) => message.convId))) {
    members.set(convId, await membersOf(session, convId))
  }
  const online = await whoIsOnline(bus, new Set([...members.values()].flat()))
  let pushed = 0
  for (const { convId, seq, body } of messages) {
    const message = decodeProto(proto.MsgData, body)
    if (message === undefined) continue
    const { senderId, offlinePush } = message
    for (const userId of members.get(convId) ?? []) {
      if (userId === senderId || online.has(userId)) continue
      bus.publish(
        im.offlinePush,
        { userId },
        {
          user_id: userId,
          conv_id: convId,
          server_msg_id: serverMsgIdOf(convId, seq),
          sender_id: senderId,
          title: offlinePush?.title ?? '',
          content: offlinePush?.content ?? '',
          payload: offlinePush?.payload ?? '',
          at: nowMs,
        },
      )
      pushed += 1
    }
  }
  await bus.roundTrip()
  return pushed
}

/** Those of these users who have a connection at any gateway. */
async function whoIsOnline(bus: Bus, users: ReadonlySet<string>): Promise<Set<string>> {
  const all = [...users]
  const queries: Promise<Uint8Array[]>[] = []
  for (let at = 0; at < all.length; at += USERS_IN_QUERY_MAX) {
    const query = proto.rpc.PresenceReq.encode({ userIds: all.slice(at, at + USERS_IN_QUERY_MAX) }).finish()
    queries.push(bus.requestMany(im.presence, {}, query, { waitMs: PRESENCE_WAIT_MS }))
  }
  const online = new Set<string>()
  for (const answer of (await Promise.all(queries)).flat()) {
    for (const userId of decodeProto(proto.rpc.PresenceResp, answer)?.online ?? []) online.add(userId)
  }
  return online
}
