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

export const StatsQuery = Type.Object({}, { $id: 'StatsQuery' })
/** What an instance is, and its numbers: those of its metrics, by the names under which `/metrics` has them. */
export const Stats = Type.Object(
  {
    service: Name,
    instance_id: Name,
    region: Name,
    version: Type.String({ maxLength: 128 }),
    started_at: Millis,
    state: Type.Unsafe<'ready' | 'not_ready' | 'draining'>({
      type: 'string',
      enum: ['ready', 'not_ready', 'draining'],
    }),
    /** How long it has run, by its monotonic clock: tells how far two answers are apart. */
    uptime_ms: Type.Number({ minimum: 0 }),
    /** `carillon_connections`, `carillon_connections_closed_total{code="4001"}`, … */
    samples: Type.Record(Type.String({ maxLength: 512 }), Type.Number()),
    /** How many more there are, which an answer has no room for. */
    samples_omitted: Type.Optional(Count),
    /** The 99th percentile of the last whole second or so, and the longest delay. */
    event_loop_lag_p99_ms: Type.Number({ minimum: 0 }),
    event_loop_lag_max_ms: Type.Number({ minimum: 0 }),
    /** The live settings it runs with, by their names behind the service's. */
    settings: Type.Record(Type.String({ maxLength: 128 }), Type.Unknown()),
  },
  { $id: 'Stats' },
)
export type Stats = Static<typeof Stats>

/** How many followers of a topic an answer names. */
export const NAMED_FOLLOWERS_MAX = 50

export const FollowersQuery = Type.Object({ topic: Name }, { $id: 'FollowersQuery' })
export const Followers = Type.Object(
  {
    instance_id: Name,
    followers: Count,
    /** Some of them, each once. */
    user_ids: Type.Array(Type.String(), { maxItems: NAMED_FOLLOWERS_MAX }),
  },
  { $id: 'Followers' },
)
export type Followers = Static<typeof Followers>

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
  stats: defineRequest('control.{service}.stats', {
    ...control_,
    summary: 'The numbers of every instance of a service',
    payload: json(StatsQuery),
    reply: json(Stats),
  }),
  followers: defineRequest('control.{service}.followers', {
    ...control_,
    summary: 'How many connections of every instance follow a topic, named as in `subscriptions`, and whose',
    payload: json(FollowersQuery),
    reply: json(Followers),
  }),
} as const
