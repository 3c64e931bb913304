/**
 * The console's HTTP interface as types: what the page sends and gets. JSON, times in milliseconds since the epoch.
 * API.md describes the routes. This file imports nothing but types, so that a browser's bundle stays small.
 */
import type { ConnectionReport, DeviceState, VoiceRoomState } from '@carillon/events'

/** Every answer that is not 2xx. `reason` is fit to be shown, as text. */
export interface ApiError {
  readonly error:
    | 'bad_request'
    | 'not_signed_in'
    | 'forbidden'
    | 'not_found'
    | 'conflict'
    | 'too_large'
    | 'too_many_requests'
    | 'unavailable'
    | 'internal'
  readonly reason: string
}

// ---- Session

export type Role = 'viewer' | 'operator'

export interface SignedIn {
  readonly signed_in: true
  readonly user: string
  readonly role: Role
  readonly expires_at: number
  /** The development session: nobody had to sign in. */
  readonly development: boolean
  /** Whether `POST /api/try` gives out credentials of test users. */
  readonly try_it: boolean
}
export interface SignedOut {
  readonly signed_in: false
  /** `development`: `POST /api/session` with `{}` opens a session. */
  readonly sign_in: 'token' | 'development'
}
/** `GET /api/session` */
export type SessionState = SignedIn | SignedOut
/** `POST /api/session` → {@link SignedIn} and a cookie */
export interface SignIn {
  readonly token?: string
}

// ---- Live

/** What is measured of every service, of all its live instances together, once a second. */
export const commonSeries = [
  'connections',
  'capacity',
  'opened_per_s',
  'closed_per_s',
  'deliveries_per_s',
  'frames_in_per_s',
  'bytes_in_per_s',
  'bytes_out_per_s',
  'publish_to_write_p50_ms',
  'publish_to_write_p99_ms',
  /** The largest of any instance. */
  'event_loop_lag_p99_ms',
  'queued_bytes',
  'slow_consumers_per_s',
  /** Connections refused by a limit, and clients refused for their credentials. */
  'refusals_per_s',
] as const
/** What is measured of one service alone. */
export const ownSeries = {
  'voice-room-ws': [
    'evictions_per_s',
    'relays_confirmed_per_s',
    'relays_redriven_per_s',
    'relays_unconfirmed_per_s',
  ],
  'im-messages': ['commits_per_s', 'messages_per_s', 'messages_per_commit', 'commit_p99_ms', 'waiting'],
  /** Pending: sent to a device that has not acknowledged them. */
  'im-gateway': ['pending_notices', 'requests_per_s'],
  'campus-socketio': ['acks_per_s', 'timeouts_per_s', 'live_devices'],
  'endpoint-discovery': ['answers_per_s'],
} as const

export type SeriesName = (typeof commonSeries)[number] | (typeof ownSeries)[keyof typeof ownSeries][number]

/** What was not measured is left out: a rate in the first second of an instance, a percentile of nothing. */
export type Values = { readonly [S in SeriesName]?: number }

export interface Instance {
  readonly service: string
  readonly instance_id: string
  readonly region: string
  readonly version: string
  readonly started_at: number
  readonly state: 'ready' | 'draining' | 'not_ready'
  /** Undefined for services without clients' connections. */
  readonly connections?: number
  readonly capacity?: number
  readonly event_loop_lag_p99_ms?: number
  readonly queued_bytes?: number
  /** Announced, but has not answered the last question for its numbers: those shown are the last known. */
  readonly silent: boolean
}

/** Event `snapshot` of `GET /api/live`, once a second. */
export interface Snapshot {
  readonly at: number
  /** false: what is shown is the last that was known. */
  readonly nats_connected: boolean
  readonly instances: readonly Instance[]
  /** By service. A service without a live instance is left out. */
  readonly services: { readonly [service: string]: Values }
}

/**
 * Event `history` of `GET /api/live`, first of all: at most 15 minutes, one column for each series, as plot
 * libraries take them. Nothing is measured while nobody looks: `at` then has a gap.
 */
export interface History {
  readonly at: readonly number[]
  readonly services: {
    readonly [service: string]: { readonly [S in SeriesName]?: readonly (number | null)[] }
  }
}

/** Event `end` of `GET /api/live`: the server ends the stream. EventSource should be closed, not reconnect at once. */
export interface LiveEnd {
  readonly reason: 'signed_out' | 'expired' | 'shutting_down' | 'too_slow'
}

// ---- Look-ups

/** `GET /api/connections?user_id=3600` */
export interface UserConnections {
  readonly user_id: string
  readonly services: readonly {
    readonly service: string
    readonly instances: readonly {
      readonly instance_id: string
      readonly count: number
      /** May be fewer than `count`, where an answer had no room for all. */
      readonly connections: readonly ConnectionReport[]
    }[]
    /** Live instances that did not answer in time: there may be more than what is shown. */
    readonly unanswered: readonly string[]
  }[]
}

/** `GET /api/rooms?channel_name=lobby&next=…` */
export type Room = Omit<VoiceRoomState, 'error_code' | 'error_reason'>

/** `GET /api/devices?serial_no=AC4178234415`: its registration, its live connection, and its pending events. */
export type Device = Omit<DeviceState, 'error_code' | 'error_reason'>

/** `GET /api/conversations?conv_id=group%3Atea&after=…` */
export interface Conversation {
  readonly conv_id: string
  /** 64-bit, so as text. */
  readonly max_seq: string
  readonly member_count: number
  readonly members: readonly { readonly user_id: string; readonly joined_seq: string }[]
  /** For the next page, as `after`. */
  readonly next?: string
}

/**
 * `GET /api/followers?service=auction-push&topic=auction.3607.bid`. A topic is named as in `subscriptions` of a
 * connection.
 */
export interface TopicFollowers {
  readonly service: string
  readonly topic: string
  readonly instances: readonly {
    readonly instance_id: string
    readonly followers: number
    /** Some of them. */
    readonly user_ids: readonly string[]
  }[]
  readonly unanswered: readonly string[]
}

// ---- Acts: operators only

/** `POST /api/disconnect` → {@link Disconnected} */
export interface DisconnectRequest {
  readonly user_id: string
  /** Default: every service with connections. */
  readonly service?: string
  readonly device_id?: string
  readonly code?: number
  readonly reason?: string
}
export interface DisconnectResult {
  readonly closed: number
  readonly instances: readonly {
    readonly service: string
    readonly instance_id: string
    readonly closed: number
  }[]
}

/** `GET /api/settings` */
export interface Settings {
  readonly settings: readonly SettingState[]
}
export interface SettingState {
  /** `auction-push.idle_timeout_ms` */
  readonly key: string
  readonly service: string
  readonly summary: string
  /** JSON Schema of the value: `{type: "integer", minimum, maximum}` or `{anyOf: [{const}, …]}`. */
  readonly schema: object
  /** As stored; left out where nothing is, so that each instance's own configuration holds. */
  readonly value?: unknown
  /** Of the stored value; 0 where there is none. */
  readonly revision: number
  /** What live instances run with. */
  readonly effective: readonly { readonly value: unknown; readonly instances: number }[]
}
/** `PUT /api/settings` → {@link SettingChanged}; 409 if `revision` is given and not the present one. */
export interface SettingChange {
  readonly key: string
  /** null removes it: each instance's own configuration holds again. */
  readonly value: unknown
  readonly revision?: number
}
export interface SettingChanged {
  readonly key: string
  readonly revision: number
}

/** `GET /api/channels`: what may be published. */
export interface Channels {
  readonly channels: readonly PublishChannel[]
}
export interface PublishChannel {
  /** `auction.bid` */
  readonly id: string
  readonly domain: string
  readonly summary: string
  /** `auction.{auctionId}.bid`; a param named with `...` takes one or more tokens. */
  readonly pattern: string
  readonly params: readonly string[]
  /** JSON Schema of the payload. */
  readonly schema: object
  /** Where an id in the subject decides: the param's values and their schemas. */
  readonly variants?: { readonly param: string; readonly schemas: { readonly [value: string]: object } }
  /** `request`: the answer is part of the result. `stored`: the result says the sequence in the stream. */
  readonly kind: 'event' | 'stored' | 'request'
  /** Headers that mean something on this channel. */
  readonly headers: readonly {
    readonly name: string
    readonly summary: string
    readonly values?: readonly string[]
  }[]
  /** A payload to begin with, that is valid. */
  readonly example: unknown
  /** Params that go with the example. */
  readonly example_params: { readonly [param: string]: string }
}
/** `POST /api/publish` → {@link Published}; 400 where the payload does not match its schema. Nothing is sent then. */
export interface PublishRequest {
  readonly channel: string
  readonly params: { readonly [param: string]: string }
  readonly payload: unknown
  readonly headers?: { readonly [name: string]: string }
}
export interface Published {
  readonly subject: string
  readonly sequence?: number
  readonly answer?: unknown
}

/** `POST /api/try` → {@link TryCredentials}; 404 unless `try_it`. Credentials of a test user, good for an hour. */
export interface TryRequest {
  readonly service: 'auction' | 'quote' | 'voice' | 'im' | 'campus'
  /** A user's id; a device's serial number for campus, which registers the device if it is not. */
  readonly user_id: string
}
export type TryCredentials = {
  /** Without a path: `ws://127.0.0.1:12029`, of a live instance. */
  readonly base_url: string
  readonly expires_at: number
} & (
  | { readonly service: 'auction' | 'quote' | 'im'; readonly token: string }
  | {
      readonly service: 'voice'
      readonly sid: string
      readonly sign: 'md5' | 'hmac-sha256'
      readonly sign_secret: string
    }
  | { readonly service: 'campus'; readonly serial_no: string; readonly device_key: string }
)

/** `GET /api/audit?before=<sequence>&limit=50`: newest first. */
export interface Audit {
  readonly entries: readonly AuditEntry[]
  /** For the next page, as `before`; left out at the end. */
  readonly before?: number
}
export interface AuditEntry {
  readonly sequence: number
  readonly at: number
  readonly user: string
  readonly role: Role | 'none'
  readonly remote_address: string
  readonly act: 'sign_in' | 'sign_out' | 'disconnect' | 'setting' | 'publish' | 'try'
  /** What it was done to; never a credential. */
  readonly target: { readonly [name: string]: unknown }
  /** `begun` is written before the act, `done`, `failed` or `refused` after it. */
  readonly result: 'begun' | 'done' | 'failed' | 'refused'
  readonly detail?: string
  /** The same for all entries of one act. */
  readonly act_id: string
  readonly instance_id: string
}
