import { type Static, Type } from 'typebox'
import { defineRequest } from './channel.ts'
import { json } from './payload.ts'
import { Count, Millis, Name } from './schemas.ts'

/** What a close frame has room for (RFC 6455, sections 5.5 and 5.5.1), in bytes of UTF-8. */
export const CLOSE_REASON_BYTES_MAX = 123

export const Disconnect = Type.Object(
  {
    user_id: Name,
    device_id: Type.Optional(Name),
    code: Type.Optional(Type.Integer({ minimum: 3000, maximum: 4999 })),
    reason: Type.Optional(Type.String({ maxLength: CLOSE_REASON_BYTES_MAX })),
  },
  { $id: 'Disconnect' },
)
export const Disconnected = Type.Object({ instance_id: Name, closed: Count }, { $id: 'Disconnected' })

export const ConnectionsQuery = Type.Object({ user_id: Type.Optional(Name) }, { $id: 'ConnectionsQuery' })
export const ConnectionReport = Type.Object(
  {
    id: Name,
    user_id: Type.Optional(Type.String()),
    device_id: Type.Optional(Type.String()),
    opened_at: Millis,
    remote_address: Type.String(),
    bytes_in: Count,
    bytes_out: Count,
    queued_bytes: Count,
    subscriptions: Type.Array(Type.String()),
    /** How many more there are, which an answer has no room for. */
    subscriptions_omitted: Type.Optional(Count),
  },
  { $id: 'ConnectionReport' },
)
export const Connections = Type.Object(
  { instance_id: Name, count: Count, connections: Type.Optional(Type.Array(ConnectionReport)) },
  { $id: 'Connections' },
)

export type Disconnect = Static<typeof Disconnect>
export type ConnectionReport = Static<typeof ConnectionReport>
export type Connections = Static<typeof Connections>

const control_ = { direction: 'receive', answers: 'every-instance' } as const

export const control = {
  disconnect: defineRequest('control.{service}.disconnect', {
    ...control_,
    summary: "Close a user's connections on every instance of a service",
    payload: json(Disconnect),
    refine(_params, payload) {
      const bytes = new TextEncoder().encode(payload.reason ?? '').length
      if (bytes <= CLOSE_REASON_BYTES_MAX) return { ok: true, value: payload }
      return { ok: false, reason: `/reason has ${bytes} bytes, and may have ${CLOSE_REASON_BYTES_MAX}` }
    },
    reply: json(Disconnected),
  }),
  connections: defineRequest('control.{service}.connections', {
    ...control_,
    summary: "How many connections every instance holds, or all about one user's",
    payload: json(ConnectionsQuery),
    reply: json(Connections),
  }),
} as const
