import type { Bus, WorkItem } from '@carillon/bus'
import {
  type VoiceAction,
  type VoiceDelivered,
  type VoiceNotice,
  type VoiceNotices,
  type VoiceUnconfirmed,
  voice,
  voiceInternal,
} from '@carillon/events'
import type { Clock } from '@carillon/service'
import { traceIncoming } from '@carillon/tracing'
import { type Answers, DELIVERY_HEADER, digestOf } from './answers.ts'
import type { Directory } from './directory.ts'
import { isConfirmable, noticeText, subjectOf } from './notice.ts'
import type { Records } from './records.ts'
import type { RelayResult, Relays } from './relays.ts'
import type { RoomEvents } from './room-events.ts'
import type { UserRecord } from './user.ts'

export interface WorkOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly users: Records<UserRecord>
  readonly roomEvents: RoomEvents
  readonly directory: Directory
  readonly relays: Relays
  readonly answers: Answers<VoiceDelivered>
  /** Whether the queue still holds the item for us. */
  readonly isOurs: (item: WorkItem) => boolean
  readonly upToDate: () => Promise<void>
}

/** An event of any channel, as decoded. */
interface WorkEvent {
  readonly params: { readonly channelName: string; readonly userId: string; readonly action: string }
  readonly payload: unknown
  readonly bytes: Uint8Array
}

/** What one event from the queue asks for: first it changes the room's state, then it is relayed, then answered. */
export class Work {
  readonly #options: WorkOptions

  constructor(options: WorkOptions) {
    this.#options = options
  }

  /** Does all of it. @throws what kept it from being done: it comes again. */
  async do(item: WorkItem): Promise<void> {
    const { bus } = this.#options
    const { subject, bytes } = item
    const channel = [voice.room, voice.user, voice.call_start, voice.call_end, voiceInternal.eviction].find(
      (each) => each.parse(subject) !== undefined,
    )
    const decoded = channel?.decode(subject, bytes as never)
    if (channel === undefined || decoded === undefined || !decoded.ok) {
      bus.reject(subject, decoded?.ok === false ? decoded.reason : 'no such subject')
      return
    }
    const event = decoded.value as unknown as WorkEvent
    const traced = { pattern: channel.pattern, bytes: bytes.length }
    await traceIncoming(traced, item.header, () => this.#do(item, channel, event))
  }

  async #do(item: WorkItem, channel: object, { params, payload, bytes }: WorkEvent): Promise<void> {
    const { clock, answers } = this.#options
    const { channelName, userId } = params
    const identified = item.header('Nats-Msg-Id') !== undefined
    // As decoded: a request's own copy is compared with it as it was decoded.
    const digest = digestOf({ subject: item.subject, bytes, header: item.header })
    const action = params.action as VoiceAction
    switch (channel) {
      case voice.room: {
        const result = await this.#room(item, channelName, action, payload as VoiceNotice)
        if (result) answers.settle(digest, delivered(result), clock.monotonic(), identified)
        return
      }
      case voice.user: {
        const result = await this.#user(item, userId, action, payload as VoiceNotice)
        if (result) answers.settle(digest, delivered(result), clock.monotonic(), identified)
        return
      }
      case voiceInternal.eviction:
        await this.#relay(item, channelName, action, payload as VoiceNotice, undefined)
        return
      case voice.call_start:
        return this.#options.roomEvents.startCall(
          item.position,
          channelName,
          payload as VoiceNotices['hang_up'],
        )
      default:
        return this.#options.roomEvents.endCall(item.position, channelName)
    }
  }

  async #room(
    item: WorkItem,
    channelName: string,
    action: VoiceAction,
    body: VoiceNotice,
  ): Promise<RelayResult | undefined> {
    const { about, refused } = await this.#options.roomEvents.change(item.position, channelName, action, body)
    if (refused !== undefined) {
      const result = {
        delivered: false,
        relay_user_id: '',
        confirmed: false,
        unconfirmed: refused,
        tried: [],
      }
      await this.#unconfirmed(item, channelName, action, subjectOf(action, body), refused, [])
      return result
    }
    const mode = item.header(DELIVERY_HEADER) ?? (isConfirmable(action) ? 'relay' : 'broadcast')
    if (mode === 'broadcast') return this.#broadcast(channelName, action, body)
    return this.#relay(item, channelName, action, body, about)
  }

  async #user(
    item: WorkItem,
    userId: string,
    action: VoiceAction,
    body: VoiceNotice,
  ): Promise<RelayResult | undefined> {
    const { relays, users, isOurs } = this.#options
    const { record } = await users.read(userId)
    return relays.relay({
      action,
      channelName: record.room?.channel_name ?? '',
      about: undefined,
      reportNames: undefined,
      text: noticeText(action, body),
      confirmable: isConfirmable(action),
      pick: (accepts) => pickUser(this.#options.directory, userId, accepts),
      isOurs: () => isOurs(item),
    })
  }

  async #relay(
    item: WorkItem,
    channelName: string,
    action: VoiceAction,
    body: VoiceNotice,
    occupant: string | undefined,
  ): Promise<RelayResult | undefined> {
    const { directory, relays, isOurs } = this.#options
    const named = subjectOf(action, body)
    const about = named ?? occupant
    // The other party of a call, and nobody else, can be told that it is over.
    const receiver = action === 'hang_up' ? String((body as VoiceNotices['hang_up']).receiver_id) : undefined
    const result = await relays.relay({
      action,
      channelName,
      about,
      reportNames: named,
      text: noticeText(action, body),
      confirmable: isConfirmable(action),
      pick: (accepts) =>
        receiver === undefined
          ? directory.pick(channelName, accepts)
          : pickUser(directory, receiver, accepts),
      isOurs: () => isOurs(item),
    })
    if (result?.unconfirmed !== undefined)
      await this.#unconfirmed(item, channelName, action, about, result.unconfirmed, result.tried)
    return result
  }

  async #unconfirmed(
    { subject, position: { epoch, sequence } }: WorkItem,
    channel_name: string,
    action: VoiceAction,
    about: string | undefined,
    reason: VoiceUnconfirmed['reason'],
    tried: readonly string[],
  ): Promise<void> {
    const { bus, clock } = this.#options
    await bus.publishStored(
      voice.unconfirmed,
      {},
      { channel_name, action, user_id: about ?? '', tried: [...tried], reason, at: clock.now() },
      { messageId: `${subject}/${epoch}-${sequence}` },
    )
  }

  async #broadcast(channelName: string, action: VoiceAction, body: VoiceNotice): Promise<RelayResult> {
    const { bus, directory, upToDate } = this.#options
    if (!directory.hasConnected(channelName)) await upToDate()
    bus.publish(voiceInternal.broadcast, { channelName }, { frame: noticeText(action, body) })
    return {
      delivered: directory.hasConnected(channelName),
      relay_user_id: '',
      confirmed: false,
      unconfirmed: undefined,
      tried: [],
    }
  }
}

function pickUser(
  directory: Directory,
  userId: string,
  accepts: (record: UserRecord) => boolean,
): UserRecord | undefined {
  const record = directory.get(userId)?.record
  return record !== undefined && accepts(record) ? record : undefined
}

function delivered({ delivered, relay_user_id, confirmed }: RelayResult): VoiceDelivered {
  return { delivered, relay_user_id, confirmed }
}
