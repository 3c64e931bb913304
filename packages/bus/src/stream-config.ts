import type { BucketDefinition, StreamDefinition } from '@carillon/events'
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import { NoRespondersError, nanos, RequestError } from '@nats-io/transport-node'

/**
 * Before this version the leader of a replicated stream compared the expected revision with what was stored, and not
 * with what was on its way to the replicas: two writers of one revision could both succeed.
 */
const SAFE_COMPARE_AND_SET = [2, 10, 20]

/** How many replicas a bucket may have on a server of this version, so that compare-and-set holds. */
export function bucketReplicas(wanted: number, version: string): number {
  const parts = version.split('.').map((part) => Number.parseInt(part, 10))
  for (const [i, needed] of SAFE_COMPARE_AND_SET.entries()) {
    const part = parts[i] ?? 0
    if (part !== needed) return part > needed ? wanted : 1
  }
  return wanted
}

/** The part of a stream's configuration that a definition fixes; the rest is the operator's. */
export type FixedConfig = Partial<StreamConfig> & { readonly name: string; readonly storage: never }

/** nats-server's default, which may not be longer than the stream's age. */
const DUPLICATE_WINDOW_MS = 120_000

export function streamConfig(definition: StreamDefinition): FixedConfig {
  return {
    name: definition.name,
    subjects: [...definition.subjects],
    max_msgs_per_subject: definition.messagesPerSubject,
    ...ageLimits(definition.maxAgeMs, definition.duplicatesMs),
    storage: definition.storage as never,
    allow_direct: true,
    ...(definition.retention && { retention: definition.retention }),
    ...(definition.acknowledges === false && { no_ack: true }),
    ...(definition.bytesMax !== undefined && { max_bytes: definition.bytesMax }),
    ...(definition.appendOnly && { deny_delete: true, deny_purge: true }),
  }
}

/** A bucket's stream, as NATS' own key-value clients make it. */
export function bucketConfig({ name, storage, maxAgeMs }: BucketDefinition<unknown>): FixedConfig {
  return {
    name: `KV_${name}`,
    subjects: [`$KV.${name}.>`],
    max_msgs_per_subject: 1,
    ...ageLimits(maxAgeMs),
    storage: storage as never,
    allow_direct: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
    discard: 'new' as never,
  }
}

function ageLimits(maxAgeMs: number, duplicatesMs = DUPLICATE_WINDOW_MS): Partial<StreamConfig> {
  const windowMs = maxAgeMs > 0 ? Math.min(duplicatesMs, maxAgeMs) : duplicatesMs
  return { max_age: nanos(maxAgeMs), duplicate_window: nanos(windowMs) }
}

/**
 * Adds the stream; where it stands already and differs, updates just what the definition fixes. Replicas are only
 * ever raised. `onMismatch` is told what cannot be changed on a stream that stands.
 */
export async function ensureStream(
  manager: JetStreamManager,
  fixed: FixedConfig,
  replicas: number,
  onMismatch: (what: string) => void,
): Promise<StreamInfo> {
  let info: StreamInfo
  try {
    info = await manager.streams.info(fixed.name)
  } catch (error) {
    if (!isStreamNotFound(error)) throw error
    return manager.streams.add({ ...fixed, num_replicas: replicas })
  }
  const { config } = info
  if (config.storage !== fixed.storage) {
    onMismatch(
      `${fixed.name} is kept in ${config.storage}, and should be in ${String(fixed.storage)}: it is made so once it is deleted`,
    )
  }
  const wanted = {
    ...fixed,
    storage: config.storage,
    num_replicas: Math.max(config.num_replicas, replicas),
  }
  const differs = Object.entries(wanted).some(
    ([key, value]) => JSON.stringify(config[key as keyof StreamConfig]) !== JSON.stringify(value),
  )
  return differs ? manager.streams.update(fixed.name, { ...config, ...wanted }) : info
}

export function isStreamNotFound(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound
}

/** Whether an error may mean that the stream is not there any more: deleted, or lost with its server. */
export function mayBeGone(error: unknown): boolean {
  return (
    isStreamNotFound(error) ||
    // What the client makes of a request that nobody answers.
    (error instanceof Error && error.name === 'JetStreamNotEnabled') ||
    error instanceof NoRespondersError ||
    (error instanceof RequestError && error.isNoResponders())
  )
}

/** The two codes by which nats-server says that the last sequence is not the expected one. */
export function isWrongLastSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && (error.code === 10_071 || error.code === 10_164)
}
