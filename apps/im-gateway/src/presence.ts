import type { Bus } from '@carillon/bus'
import { im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import type { Users } from './users.ts'

/** Tells the message service which users are connected here: the others may need an offline push. */
export function servePresence(bus: Bus, instanceId: string, users: Users): void {
  bus.serve(im.presence, {}, ({ bytes }) => {
    const { userIds } = proto.rpc.PresenceReq.decode(bytes)
    const online = userIds.filter((userId) => users.isOnline(userId))
    return proto.rpc.PresenceResp.encode({ instanceId, online }).finish()
  })
}
