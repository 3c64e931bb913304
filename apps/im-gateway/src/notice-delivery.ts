/** A notice, ready to be pushed. */
export interface Notice {
  readonly id: string
  /** The channel: a device has a position in each. */
  readonly convId: string
  /** An encoded NoticeData. */
  readonly bytes: Uint8Array
  /** Pushed to who is online, and never again. */
  readonly once: boolean
}

interface Sent {
  readonly convId: string
  /** When it was sent last, by the monotonic clock. */
  readonly atMs: number
}

/** A device's word that it has consumed a notice, and those before it in the same channel. */
export interface NoticeAck {
  readonly id: string
  readonly convId: string
}

/**
 * What one device has been sent and has not acknowledged: oldest first, never more than the limit. What does not
 * fit stays in the message service's store, which is asked when acknowledgements have made room.
 */
export interface NoticeDelivery {
  readonly inFlight: ReadonlyMap<string, Sent>
  /** The store holds notices behind those in flight. */
  readonly more: boolean
  /** The store is being asked. */
  readonly loading: boolean
  /** Something came or was acknowledged while the store was being asked. */
  readonly loadAgain: boolean
  readonly ackedWhileLoading: readonly NoticeAck[]
}

export type NoticeCommand =
  | { readonly type: 'connected' }
  | { readonly type: 'pushed'; readonly notices: readonly Notice[] }
  | { readonly type: 'loaded'; readonly notices: readonly Notice[]; readonly more: boolean }
  | { readonly type: 'load_failed' }
  | ({ readonly type: 'acked' } & NoticeAck)
  | { readonly type: 'due' }

export type NoticeEffect =
  | { readonly type: 'load' }
  | { readonly type: 'send'; readonly notices: readonly Notice[]; readonly again: number }
  /** Step on with `due` after this time, instead of any time set before. */
  | { readonly type: 'wait'; readonly delayMs: number }

export interface NoticeLimits {
  readonly noticesInFlightMax: number
  readonly noticeRedeliveryMs: number
}

type Step = readonly [NoticeDelivery, readonly NoticeEffect[]]

export const noNotices: NoticeDelivery = {
  inFlight: new Map(),
  more: false,
  loading: false,
  loadAgain: false,
  ackedWhileLoading: [],
}

/** One command's outcome. `nowMs` is monotonic. */
export function step(
  state: NoticeDelivery,
  command: NoticeCommand,
  nowMs: number,
  limits: NoticeLimits,
): Step {
  switch (command.type) {
    case 'connected':
      return load(state)
    case 'pushed':
      return pushed(state, command.notices, nowMs, limits)
    case 'loaded':
      return loaded(state, command, nowMs, limits)
    case 'load_failed':
      return [
        { ...state, loading: false, more: true },
        [{ type: 'wait', delayMs: limits.noticeRedeliveryMs }],
      ]
    case 'acked':
      return acked(state, command, limits)
    case 'due':
      return state.inFlight.size > 0 || state.more ? load(state) : [state, []]
    default:
      return command satisfies never
  }
}

/** Asks the store, or asks it again when it has answered: what it is answering may be old by then. */
function load(state: NoticeDelivery): Step {
  if (state.loading) return [{ ...state, loadAgain: true }, []]
  return [{ ...state, loading: true, loadAgain: false, ackedWhileLoading: [] }, [{ type: 'load' }]]
}

/** New notices. Those that do not fit, or might overtake older ones, are left to the store. */
function pushed(
  state: NoticeDelivery,
  notices: readonly Notice[],
  nowMs: number,
  limits: NoticeLimits,
): Step {
  const inFlight = new Map(state.inFlight)
  let { more, loadAgain } = state
  const send = notices.filter(({ id, convId, once }) => {
    if (once) return true
    if (inFlight.has(id)) return false
    if (state.loading) loadAgain = true
    else if (more || inFlight.size >= limits.noticesInFlightMax) more = true
    else return inFlight.set(id, { convId, atMs: nowMs })
    return false
  })
  const effects: NoticeEffect[] = send.length > 0 ? [{ type: 'send', notices: send, again: 0 }] : []
  if (state.inFlight.size === 0 && inFlight.size > 0) {
    effects.push({ type: 'wait', delayMs: limits.noticeRedeliveryMs })
  }
  return [{ ...state, inFlight, more, loadAgain }, effects]
}

/** The store's first notices: those are sent that are new, or whose time has come again. */
function loaded(
  state: NoticeDelivery,
  answer: { readonly notices: readonly Notice[]; readonly more: boolean },
  nowMs: number,
  limits: NoticeLimits,
): Step {
  const acks = state.ackedWhileLoading
  const pending = acks.reduce(withoutAcked, answer.notices).slice(0, limits.noticesInFlightMax)
  const inFlight = new Map<string, Sent>()
  let again = 0
  const send = pending.filter(({ id, convId }) => {
    const sentAtMs = state.inFlight.get(id)?.atMs
    const due = sentAtMs === undefined || nowMs - sentAtMs >= limits.noticeRedeliveryMs
    if (due && sentAtMs !== undefined) again += 1
    inFlight.set(id, { convId, atMs: due ? nowMs : sentAtMs })
    return due
  })
  const next: NoticeDelivery = {
    ...state,
    inFlight,
    more: answer.more,
    loading: false,
    ackedWhileLoading: [],
  }
  const [after, more] = state.loadAgain ? load(next) : [next, []]
  return [
    after,
    [
      ...(send.length > 0 ? [{ type: 'send', notices: send, again } as const] : []),
      ...(inFlight.size > 0 ? [{ type: 'wait', delayMs: nextDue(inFlight, nowMs, limits) } as const] : []),
      ...more,
    ],
  ]
}

function acked(state: NoticeDelivery, ack: NoticeAck, limits: NoticeLimits): Step {
  const ackedWhileLoading = state.loading ? [...state.ackedWhileLoading, ack] : []
  const before = [...state.inFlight].map(([id, sent]) => ({ id, ...sent }))
  const left = withoutAcked(before, ack)
  const inFlight = new Map(left.map(({ id, convId, atMs }) => [id, { convId, atMs }]))
  const next = { ...state, inFlight, ackedWhileLoading }
  return next.more && inFlight.size <= limits.noticesInFlightMax / 2 ? load(next) : [next, []]
}

/** Acknowledgements are monotonic: one stands for everything before it in its channel, and for nothing else. */
function withoutAcked<N extends NoticeAck>(notices: readonly N[], { id, convId }: NoticeAck): readonly N[] {
  const position = notices.findIndex((each) => each.id === id && each.convId === convId)
  return notices.filter((each, at) => at > position || each.convId !== convId)
}

function nextDue(inFlight: ReadonlyMap<string, Sent>, nowMs: number, limits: NoticeLimits): number {
  return Math.max(
    0,
    Math.min(...[...inFlight.values()].map(({ atMs }) => atMs)) + limits.noticeRedeliveryMs - nowMs,
  )
}
