/** A durable event as the stream holds it. */
export interface DurableEvent {
  readonly event: string
  /** Its place in the stream: the order of publishing, and what tells a newer one of the same name. */
  readonly sequence: number
  readonly body: Uint8Array
  readonly publishedAtMs: number
  /** In milliseconds since the epoch. */
  readonly expiresAtMs: number
}

interface Pending extends DurableEvent {
  /** How often it was sent over this connection. */
  readonly attempts: number
  /** When it is sent (again), by the monotonic clock. */
  readonly dueAtMs: number
  /** Until when an answer to the last send is waited for: its bytes count until then, however long the back-off is. */
  readonly answerUntilMs: number
}

export interface DurableLimits {
  readonly ackTimeoutMs: number
  /** The back-off doubles from `ackTimeoutMs` up to this. */
  readonly backOffMsMax: number
  /** So many bytes may wait for acknowledgements; one event may pass it. */
  readonly inFlightBytesMax: number
}

/**
 * The durable events of one live device, by name: what is still to be acknowledged, and up to which sequence
 * number each is done with. Immutable: every function makes the next one.
 */
export interface DurableEvents {
  readonly pending: ReadonlyMap<string, Pending>
  readonly settled: ReadonlyMap<string, number>
}

export const noDurableEvents: DurableEvents = { pending: new Map(), settled: new Map() }

/**
 * Takes an event that was stored. It may come twice, from the stream and from the wire, and late: what is not
 * newer than what is known changes nothing.
 */
export function offer(events: DurableEvents, stored: DurableEvent, nowMs: number): DurableEvents {
  const known = Math.max(
    events.pending.get(stored.event)?.sequence ?? 0,
    events.settled.get(stored.event) ?? 0,
  )
  if (stored.sequence <= known) return events
  const pending = new Map(events.pending).set(stored.event, {
    ...stored,
    attempts: 0,
    dueAtMs: nowMs,
    answerUntilMs: nowMs,
  })
  return { ...events, pending }
}

/** The device has acknowledged this very event: a newer one of the same name stays. */
export function settle(events: DurableEvents, event: string, sequence: number): DurableEvents {
  const settled = new Map(events.settled).set(event, Math.max(events.settled.get(event) ?? 0, sequence))
  if (events.pending.get(event)?.sequence !== sequence) return { ...events, settled }
  const pending = new Map(events.pending)
  pending.delete(event)
  return { pending, settled }
}

/** The device has answered, but not acknowledged: sent again when it is due, and not in the way of others until then. */
export function rejected(
  events: DurableEvents,
  event: string,
  sequence: number,
  nowMs: number,
): DurableEvents {
  const known = events.pending.get(event)
  if (known?.sequence !== sequence) return events
  return { ...events, pending: new Map(events.pending).set(event, { ...known, answerUntilMs: nowMs }) }
}

export interface Taken {
  readonly events: DurableEvents
  /** To be sent now, in the order of publishing. */
  readonly send: readonly DurableEvent[]
  /** Never to be sent: their time is over. */
  readonly expired: readonly DurableEvent[]
}

/** What is to be sent now; each is due again after its back-off unless it is acknowledged before. */
export function takeDue(
  events: DurableEvents,
  now: { readonly monotonicMs: number; readonly epochMs: number },
  limits: DurableLimits,
): Taken {
  // Of nothing there is nothing to copy: most devices keep what all of them share.
  if (events.pending.size === 0) return { events, send: [], expired: [] }
  const inOrder = [...events.pending.values()].sort((a, b) => a.sequence - b.sequence)
  const expired = inOrder.filter(({ expiresAtMs }) => expiresAtMs <= now.epochMs)
  let next = events
  for (const { event, sequence } of expired) next = settle(next, event, sequence)

  const pending = new Map(next.pending)
  const send: DurableEvent[] = []
  let inFlightBytes = 0
  for (const each of inOrder) if (isInFlight(each, now.monotonicMs)) inFlightBytes += each.body.length
  for (const each of inOrder) {
    if (!pending.has(each.event) || each.dueAtMs > now.monotonicMs) continue
    if (inFlightBytes > 0 && inFlightBytes + each.body.length > limits.inFlightBytesMax) break
    inFlightBytes += each.body.length
    send.push(each)
    const backOffMs = Math.min(limits.backOffMsMax, limits.ackTimeoutMs * 2 ** each.attempts)
    pending.set(each.event, {
      ...each,
      attempts: each.attempts + 1,
      dueAtMs: now.monotonicMs + backOffMs,
      answerUntilMs: now.monotonicMs + limits.ackTimeoutMs,
    })
  }
  return { events: { ...next, pending }, send, expired }
}

/**
 * When something is to be sent next, by the monotonic clock; undefined where nothing waits. What is due already
 * waits for room: for an answer, or for the end of the time for one.
 */
export function nextDueMs({ pending }: DurableEvents, nowMs: number): number | undefined {
  let next: number | undefined
  const waitsForRoom = [...pending.values()].some(({ dueAtMs }) => dueAtMs <= nowMs)
  for (const { dueAtMs, answerUntilMs } of pending.values())
    for (const atMs of waitsForRoom ? [dueAtMs, answerUntilMs] : [dueAtMs])
      if (atMs > nowMs && (next === undefined || atMs < next)) next = atMs
  return next
}

function isInFlight({ answerUntilMs }: Pending, nowMs: number): boolean {
  return answerUntilMs > nowMs
}

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

/** Milliseconds since the epoch out of a whole number of them or an RFC 3339 time. */
export function parseExpiry(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  if (!RFC3339.test(text)) return undefined
  const ms = Date.parse(text.toUpperCase().replace(/(\.\d{3})\d+/, '$1'))
  return Number.isNaN(ms) ? undefined : ms
}

/**
 * Until when an event is worth sending: what the publisher's header says, else the body's `ended_at`, else so
 * long after it was published. A header or body that names no time is as if it was not there.
 */
export function expiryOf(
  header: string | undefined,
  body: object,
  publishedAtMs: number,
  maxAgeMs: number,
): number {
  const endsAtMs = publishedAtMs + maxAgeMs
  const said = parseExpiry(header) ?? parseExpiry((body as { ended_at?: unknown }).ended_at)
  return said === undefined ? endsAtMs : Math.min(said, endsAtMs)
}
