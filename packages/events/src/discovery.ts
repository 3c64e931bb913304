import { type Static, Type } from 'typebox'
import { defineEvent } from './channel.ts'
import { json } from './payload.ts'
import { Count, Millis, Name } from './schemas.ts'

export const Announcement = Type.Object(
  {
    service: Name,
    instance_id: Name,
    end_point: Type.String({ pattern: '^wss?://.+', maxLength: 2048 }),
    region: Name,
    connections: Count,
    capacity: Count,
    draining: Type.Boolean(),
    version: Type.String(),
    started_at: Millis,
  },
  { $id: 'Announcement' },
)
export type Announcement = Static<typeof Announcement>

/** An instance announces itself this often, and at once when something changes. */
export const ANNOUNCE_INTERVAL_MS = 2_000
/** An instance that was silent for so long is gone. */
export const ANNOUNCE_TTL_MS = 7_000

export const discovery = {
  announce: defineEvent('discovery.announce.{service}.{instanceId}', {
    direction: 'send',
    summary: 'An instance says where it is and how much it can take',
    payload: json(Announcement),
    refine(params, payload) {
      const same = params.service === payload.service && params.instanceId === payload.instance_id
      return same
        ? { ok: true, value: payload }
        : { ok: false, reason: 'service or instance_id is not the one in the subject' }
    },
  }),
} as const
