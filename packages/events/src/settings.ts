import { type Static, type TSchema, Type } from 'typebox'
import { json, type Payload } from './payload.ts'
import type { BucketDefinition } from './storage.ts'

/** One setting that operators change while the services run. */
export interface Setting<T> {
  /** The name in the bucket, behind `<service>.`. */
  readonly name: string
  readonly summary: string
  readonly value: Payload<T>
}

function setting<S extends TSchema>(name: string, summary: string, schema: S): Setting<Static<S>> {
  return { name, summary, value: json(schema) }
}

export const LogLevel = Type.Union(
  (['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const).map((level) => Type.Literal(level)),
)
export type LogLevel = Static<typeof LogLevel>

/** Settings that every service has. */
export const commonSettings = {
  maxConnections: setting(
    'max_connections',
    'Connections one instance accepts',
    Type.Integer({ minimum: 0, maximum: 1_000_000 }),
  ),
  logLevel: setting('log_level', 'What is logged', LogLevel),
} as const

/** Settings of auction-push alone. */
export const auctionSettings = {
  idleTimeoutMs: setting(
    'idle_timeout_ms',
    'Silence from a client after which its connection is closed',
    Type.Integer({ minimum: 1_000, maximum: 86_400_000 }),
  ),
} as const

/** Settings of quote-interact alone. */
export const quoteSettings = {
  minIntervalMs: setting(
    'min_interval_ms',
    'Least time between two quotes of one market, in steps of 100 ms; 0 for none',
    Type.Integer({ minimum: 0, maximum: 60_000 }),
  ),
} as const

/** Keys are `<service>.<name>`, values JSON. */
export const settingsBucket: BucketDefinition<unknown> = {
  name: 'settings',
  summary: 'Live settings: a change takes effect at once on every instance',
  value: json(Type.Unknown()),
  storage: 'file',
  maxAgeMs: 0,
}
