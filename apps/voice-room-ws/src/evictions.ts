import type { Bus, Stream, StreamPosition } from '@carillon/bus'
import {
  type VoiceNotices,
  type VoiceReason,
  type VoiceUserRecord,
  voice,
  voiceEventsStream,
  voiceInternal,
  voiceWorkStream,
} from '@carillon/events'
import type { Clock } from '@carillon/service'
import type { Records } from './records.ts'
import { clearSeats, finishCall, type RoomRecord } from './room.ts'
import { endCall, evict, type UserRecord, withoutEviction } from './user.ts'

type Eviction = NonNullable<VoiceUserRecord['eviction']>

export interface EvictionsOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly users: Records<UserRecord>
  readonly rooms: Records<RoomRecord>
  /** One more user was evicted, by this instance. */
  readonly evicted: (reason: VoiceReason) => void
}

/** Whoever comes this long after the decision was held up, and looks whether somebody else has finished it. */
const PROMPT_MS = 2_000
const POSITION_SHARED_MS = 10

/**
 * Evictions, each exactly once. The compare-and-set that takes the user out of the room also writes the eviction into
 * the same record: that is the decision. Then everybody is told, and only then is the note taken out of the record.
 * Whoever finds a note that stays, finishes it: telling twice is harmless, since the streams know each message by its
 * `Nats-Msg-Id`.
 */
export class Evictions {
  readonly #options: EvictionsOptions
  readonly #events: Stream
  readonly #work: Stream
  #position: { readonly atMs: number; readonly promise: Promise<StreamPosition> } | undefined

  constructor(options: EvictionsOptions) {
    this.#options = options
    this.#events = options.bus.stream(voiceEventsStream)
    this.#work = options.bus.stream(voiceWorkStream)
  }

  /**
   * Evicts the user if `applies` still says so when it is decided; without a room or a call the session just ends.
   * Answers the record before, or undefined if nothing was done.
   */
  async evict(
    userId: string,
    reason: VoiceReason,
    applies: (record: UserRecord) => boolean,
  ): Promise<UserRecord | undefined> {
    const { users, clock } = this.#options
    const known = users.known(userId)
    // What the copy says is enough to begin with: the decision is a compare-and-set on what is stored.
    const now = known !== undefined && applies(known) ? known : (await users.read(userId)).record
    if (!applies(now)) return undefined
    // An earlier one, which whoever decided it may be telling at this moment: only where it is in the way.
    if (now.eviction !== null) await this.finish(userId, now.eviction)
    const version = await this.#lastPosition()
    const decidedAtMs = clock.monotonic()
    const decided = new Set<string>()
    const result = await users.change(userId, (record, revision) => {
      if (!applies(record)) return undefined
      if (record.room === null && record.call === null)
        return record.session === null && record.absence === null
          ? undefined
          : { ...record, session: null, absence: null }
      const evicted = evict(record, reason, version, revision, clock.now())
      if (evicted?.eviction) decided.add(evicted.eviction.id)
      return evicted
    })
    const { eviction } = result.record
    // Ours also where the answer to the write was lost; another one's is told by whoever has decided it.
    if (eviction !== null && decided.has(eviction.id)) {
      this.#options.evicted(reason)
      await this.#finish(userId, eviction, decidedAtMs)
    }
    return result.changed ? result.before : undefined
  }

  /** Tells what somebody has decided and perhaps not told. */
  async finish(userId: string, eviction: Eviction): Promise<void> {
    await this.#finish(userId, eviction, Number.NEGATIVE_INFINITY)
  }

  async #finish(userId: string, eviction: Eviction, decidedAtMs: number): Promise<void> {
    const { users, clock } = this.#options
    const late = clock.monotonic() - decidedAtMs > PROMPT_MS
    // Told by somebody else, if the note is gone; and a later eviction may have been told since.
    if (late && (await users.read(userId)).record.eviction?.id !== eviction.id) return
    await Promise.all([
      this.#publishEvent(userId, eviction, late),
      this.#publishNotices(eviction),
      this.#clearRoom(userId, eviction),
      this.#clearCall(userId, eviction),
    ])
    await users.change(userId, (record) => withoutEviction(record, eviction.id))
  }

  async #publishEvent(userId: string, { id, event }: Eviction, late: boolean): Promise<void> {
    const { bus } = this.#options
    const subject = voice.evicted.subject({ userId })
    const messageId = `${subject}/${id}`
    // Subscribers without the stream would see a second copy: nothing is sent that is stored already.
    if (late && (await this.#events.last(subject))?.header('Nats-Msg-Id') === messageId) return
    await bus.publishStored(voice.evicted, { userId }, event, { messageId })
  }

  async #publishNotices({ id, event, notice_user_id }: Eviction): Promise<void> {
    const { bus } = this.#options
    const { user_id, channel_name, room_seat, call } = event
    const publish = async (
      channelName: string,
      action: string,
      body: VoiceNotices['exit_room' | 'hang_up'],
    ) => {
      const messageId = `${voice.evicted.subject({ userId: user_id })}/${id}/${action}`
      await bus.publishStored(voiceInternal.eviction, { channelName, action }, body, { messageId })
    }
    if (channel_name !== '') {
      await publish(channel_name, 'exit_room', { user_id: notice_user_id, channel_name, room_seat })
    }
    if (call !== null) {
      const isCaller = String(call.user_id) === user_id
      const [gone, other] = isCaller ? [call.user_id, call.receiver_id] : [call.receiver_id, call.user_id]
      const hangUp = { user_id: gone, receiver_id: other, channel_name: call.channel_name }
      await publish(call.channel_name, 'hang_up', hangUp)
    }
  }

  async #clearRoom(userId: string, { event, version }: Eviction): Promise<void> {
    if (event.channel_name === '' || event.room_seat === null) return
    await this.#options.rooms.change(event.channel_name, (room) => clearSeats(room, userId, version))
  }

  async #clearCall(userId: string, { event: { call }, version }: Eviction): Promise<void> {
    if (call === null) return
    const { rooms, users } = this.#options
    await rooms.change(call.channel_name, (room) => finishCall(room, version))
    const other = [call.user_id, call.receiver_id].map(String).find((id) => id !== userId)
    if (other !== undefined)
      await users.change(other, (record) => endCall(record, call.channel_name, version))
  }

  /** The place of the last event there is; many evictions at once ask once. */
  #lastPosition(): Promise<StreamPosition> {
    const now = this.#options.clock.monotonic()
    if (this.#position === undefined || now - this.#position.atMs > POSITION_SHARED_MS)
      this.#position = { atMs: now, promise: this.#work.position() }
    return this.#position.promise
  }
}
