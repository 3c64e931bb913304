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
    version: Type.String({ maxLength: 128 }),
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
      if (params.service !== payload.service || params.instanceId !== payload.instance_id)
        return { ok: false, reason: 'service or instance_id is not the one in the subject' }
      const endPoint = normalUrl(payload.end_point)
      if (endPoint === undefined) return { ok: false, reason: '/end_point is no URL that clients can use' }
      return {
        ok: true,
        value: endPoint === payload.end_point ? payload : { ...payload, end_point: endPoint },
      }
    },
  }),
} as const

/**
 * The URL in its normal form, escaped where it has to be, and without the `/` of an empty path: clients append
 * theirs. Undefined where it is none, or has credentials or a fragment, which a WebSocket client may not be given.
 */
function normalUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  if (url.username || url.password || url.hash) return undefined
  return url.pathname === '/' && !url.search && !text.endsWith('/') ? url.href.slice(0, -1) : url.href
}
