import type { Bus } from '@carillon/bus'
import { decodeProto, im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { sql } from 'kysely'
import { serverMsgIdOf } from './conversation-id.ts'
import type { Session } from './database/database.ts'
import { membersOf, messagesAt, type Place } from './store/history.ts'

/** Gateways answer within this time, or count as holding nobody. */
const PRESENCE_WAIT_MS = 500
const USERS_IN_QUERY_MAX = 5_000
/** One message of a large group may be told to ten thousand members, with texts of 64 KiB: so many at once. */
const PUSHES_MAX = 20_000
/** What may be on its way to the broker before it is waited for. */
const UNCONFIRMED_BYTES_MAX = 1024 * 1024
/** What an event takes beside its texts, about. */
const EVENT_BYTES = 512

export interface OfflinePushed {
  readonly pushed: number
  /** Those of the places that are dealt with: from the front, at least one. */
  readonly done: readonly Place[]
}

/**
 * Tells internal services of the members that a message has not reached by a connection. Nobody keeps track of who is
 * connected: the gateways are asked, each time, for all the members together. Stops where it becomes too much for
 * one transaction.
 */
export async function pushToOffline(
  bus: Pick<Bus, 'publish' | 'roundTrip' | 'requestMany'>,
  session: Session,
  places: readonly Place[],
  nowMs: number,
): Promise<OfflinePushed> {
  const messages = await messagesAt(session, places)
  const members = new Map<string, string[]>()
  for (const convId of new Set(messages.map((message) => message.convId))) {
    members.set(convId, await membersOf(session, convId))
  }
  const online = await whoIsOnline(bus, new Set([...members.values()].flat()))
  const byPlace = new Map(messages.map((message) => [`${message.seq} ${message.convId}`, message]))
  const done: Place[] = []
  let pushed = 0
  let unconfirmedBytes = 0
  for (const place of places) {
    const stored = byPlace.get(`${place.seq} ${place.convId}`)
    // Retention may have been there first.
    const message = stored && decodeProto(proto.MsgData, stored.body)
    const receivers = message
      ? (members.get(place.convId) ?? []).filter((id) => id !== message.senderId && !online.has(id))
      : []
    if (done.length > 0 && pushed + receivers.length > PUSHES_MAX) break
    const { title, content, payload } = proto.MsgData.OfflinePush.create(message?.offlinePush ?? {})
    const bytes = EVENT_BYTES + Buffer.byteLength(`${title}${content}${payload}`)
    for (const userId of receivers) {
      const serverMsgId = serverMsgIdOf(place.convId, place.seq)
      bus.publish(
        im.offlinePush,
        { userId },
        {
          user_id: userId,
          conv_id: place.convId,
          server_msg_id: serverMsgId,
          sender_id: message?.senderId ?? '',
          title,
          content,
          payload,
          at: nowMs,
        },
      )
      pushed += 1
      unconfirmedBytes += bytes
      if (unconfirmedBytes < UNCONFIRMED_BYTES_MAX) continue
      await bus.roundTrip()
      unconfirmedBytes = 0
      // The server ends a transaction that stands idle for long.
      await sql`select 1`.execute(session)
    }
    done.push(place)
  }
  await bus.roundTrip()
  return { pushed, done }
}

/** Those of these users who have a connection at any gateway. */
async function whoIsOnline(bus: Pick<Bus, 'requestMany'>, users: ReadonlySet<string>): Promise<Set<string>> {
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
