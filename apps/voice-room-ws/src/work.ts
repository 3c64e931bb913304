import type { Bus, WorkItem } from '@carillon/bus'
import {
  type VoiceAction,
  type VoiceDelivered,
  type VoiceNotice,
  type VoiceNotices,
  type VoiceVersion,
  voice,
  voiceInternal,
} from '@carillon/events'
import type { Clock } from '@carillon/service'
import { type Answers, DELIVERY_HEADER, digestOf } from './answers.ts'
import type { Directory } from './directory.ts'
import { isConfirmable, noticeText, subjectOf } from './notice.ts'
import type { Records } from './records.ts'
import type { RelayResult, Relays } from './relays.ts'
import {
  beginCall,
  clearSeats,
  decides,
  finishCall,
  occupy,
  type RoomRecord,
  seatOf,
  vacate,
} from './room.ts'
import { endCall, enter, exit, seatValue, sit, stand, startCall, type UserRecord, unseat } from './user.ts'
import { isSame } from './version.ts'

export interface WorkOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly users: Records<UserRecord>
  readonly rooms: Records<RoomRecord>
  readonly directory: Directory
  readonly relays: Relays
  readonly answers: Answers<VoiceDelivered>
  /** For users who are put into a room without having a connection. */
  readonly absentGraceMs: number
  /** Whether the queue still holds the item for us. */
  readonly isOurs: (item: WorkItem) => boolean
  readonly upToDate: () => Promise<void>
}

/** What one event from the queue asks for: first it changes the room's state, then it is relayed, then answered. */
export class Work {
  readonly #options: WorkOptions

  constructor(options: WorkOptions) {
    this.#options = options
  }

  /** Does all of it. @throws what kept it from being done: it comes again. */
  async do(item: WorkItem): Promise<void> {
    const { bus, clock, answers } = this.#options
    const { subject, bytes } = item
    const channel = [voice.room, voice.user, voice.call_start, voice.call_end, voiceInternal.eviction].find(
      (each) => each.parse(subject) !== undefined,
    )
    const decoded = channel?.decode(subject, bytes as never)
    if (decoded === undefined || !decoded.ok) {
      bus.reject(subject, decoded?.reason ?? 'no such subject')
      return
    }
    const { params, payload } = decoded.value as unknown as {
      params: { channelName: string; userId: string; action: string }
      payload: unknown
    }
    const { channelName, userId } = params
    const identified = item.header('Nats-Msg-Id') !== undefined
    // As decoded: a request's own copy is compared with it as it was decoded.
    const digest = digestOf({ subject, bytes: decoded.value.bytes, header: item.header })
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
        return this.#startCall(item, channelName, payload as VoiceNotices['hang_up'])
      default:
        return this.#endCall(item, channelName)
    }
  }

  async #room(
    item: WorkItem,
    channelName: string,
    action: VoiceAction,
    body: VoiceNotice,
  ): Promise<RelayResult | undefined> {
    const about = await this.#changeRoom(item.position, channelName, action, body)
    const mode = item.header(DELIVERY_HEADER) ?? (isConfirmable(action) ? 'relay' : 'broadcast')
    if (mode === 'broadcast') return this.#broadcast(channelName, action, body)
    return this.#relay(item, channelName, action, body, about)
  }

  /** The roster, the seats: answers whom the notice is about, where the notice itself does not say. */
  async #changeRoom(
    version: VoiceVersion,
    channelName: string,
    action: VoiceAction,
    body: VoiceNotice,
  ): Promise<string | undefined> {
    const { users, rooms } = this.#options
    switch (action) {
      case 'enter_room': {
        const { user_id } = body as VoiceNotices['enter_room']
        await users.change(String(user_id), (record) =>
          enter(record, channelName, user_id, version, this.#absent),
        )
        return undefined
      }
      case 'exit_room': {
        const { user_id } = body as VoiceNotices['exit_room']
        const { before, changed } = await users.change(String(user_id), (record) =>
          exit(record, channelName, version),
        )
        if (changed && before.room?.seat)
          await rooms.change(channelName, (room) => clearSeats(room, String(user_id), version))
        return undefined
      }
      case 'up':
        await this.#sit(version, channelName, (body as VoiceNotices['up']).room_seat)
        return undefined
      case 'down':
        return this.#stand(version, channelName, String((body as VoiceNotices['down']).room_seat.id))
      case 'send_topic_msg':
      case 'send_gift':
      case 'hang_up':
      case 'room_notice':
        return undefined
      default:
        return action satisfies never
    }
  }

  /**
   * Seat and sitter are two records. Each step may be done again by another instance that finds this one gone; and a
   * later event that comes between the steps wins, which the last look makes sure of.
   */
  async #sit(
    version: VoiceVersion,
    channelName: string,
    seat: VoiceNotices['up']['room_seat'],
  ): Promise<void> {
    const { users, rooms } = this.#options
    const [seatId, userId] = [String(seat.id), String(seat.user_id)]
    const { record: room } = await rooms.change(channelName, (record) =>
      occupy(record, seatId, userId, version),
    )
    const taken = seatOf(room, seatId)
    const previous = taken?.previous
    if (decides(room, seatId, version) && previous != null && previous !== userId)
      await users.change(previous, (record) => stand(record, channelName, seatId, version))
    const value = seatValue(seat)
    if (decides(room, seatId, version) && taken?.user_id === userId) {
      const { record } = await users.change(userId, (user) =>
        sit(user, channelName, seat.user_id, value, version, this.#absent),
      )
      // Gone from the room by a later event, or evicted: the seat is free.
      if (record.room?.channel_name !== channelName)
        await rooms.change(channelName, (each) => clearSeats(each, userId, version))
    }
    const { record: now } = await rooms.read(channelName)
    if (!decides(now, seatId, version) || seatOf(now, seatId)?.user_id !== userId)
      await users.change(userId, (record) => unseat(record, channelName, version))
  }

  /** Answers who sat there. */
  async #stand(version: VoiceVersion, channelName: string, seatId: string): Promise<string | undefined> {
    const { users, rooms, directory } = this.#options
    const { record: room } = await rooms.change(channelName, (record) => vacate(record, seatId, version))
    const sitter =
      (decides(room, seatId, version) ? seatOf(room, seatId)?.previous : undefined) ??
      // The seats of a room in which nothing happened for long are not remembered, the sitter is.
      sitterOf(directory.members(channelName), channelName, seatId)
    if (sitter !== undefined)
      await users.change(sitter, (record) => stand(record, channelName, seatId, version))
    return sitter
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
    sitter: string | undefined,
  ): Promise<RelayResult | undefined> {
    const { bus, clock, directory, relays, isOurs } = this.#options
    const named = subjectOf(action, body)
    const about = named ?? sitter
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
    if (result?.unconfirmed === undefined) return result
    const { epoch, sequence } = item.position
    await bus.publishStored(
      voice.unconfirmed,
      {},
      {
        channel_name: channelName,
        action,
        user_id: about ?? '',
        tried: [...result.tried],
        reason: result.unconfirmed,
        at: clock.now(),
      },
      { messageId: `${item.subject}/${epoch}-${sequence}` },
    )
    return result
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

  async #startCall(
    { position: version }: WorkItem,
    channelName: string,
    { user_id, receiver_id }: Pick<VoiceNotices['hang_up'], 'user_id' | 'receiver_id'>,
  ): Promise<void> {
    const { users, rooms } = this.#options
    const { record: room } = await rooms.change(channelName, (record) =>
      beginCall(record, user_id, receiver_id, version),
    )
    // It is over already.
    if (!isSame(version, room.call?.version)) return
    const call = { channel_name: channelName, user_id, receiver_id }
    const parties = [String(user_id), String(receiver_id)]
    for (const id of parties)
      await users.change(id, (record) => startCall(record, call, version, this.#absent))
    const { record: now } = await rooms.read(channelName)
    if (now.call !== null && !isSame(version, now.call.version))
      await this.#endFor(parties, channelName, now.call.version)
  }

  async #endCall({ position: version }: WorkItem, channelName: string): Promise<void> {
    const { rooms, directory } = this.#options
    const { record } = await rooms.change(channelName, (room) => finishCall(room, version))
    const parties = [record.call?.user_id, record.call?.receiver_id].flatMap((id) =>
      id == null ? [] : [String(id)],
    )
    // The call of a channel in which nothing happened for long is not remembered, those who are in it are.
    const members = [...directory.members(channelName)].map(({ user_id }) => user_id)
    await this.#endFor([...new Set([...parties, ...members])], channelName, version)
  }

  async #endFor(userIds: readonly string[], channelName: string, version: VoiceVersion): Promise<void> {
    for (const id of userIds)
      await this.#options.users.change(id, (user) => endCall(user, channelName, version))
  }

  get #absent() {
    return { graceMs: this.#options.absentGraceMs, nowMs: this.#options.clock.now() }
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

function sitterOf(members: Iterable<UserRecord>, channelName: string, seatId: string): string | undefined {
  for (const { user_id, room } of members)
    if (room?.channel_name === channelName && room.seat !== null && String(room.seat.value.id) === seatId)
      return user_id
  return undefined
}

function delivered({ delivered, relay_user_id, confirmed }: RelayResult): VoiceDelivered {
  return { delivered, relay_user_id, confirmed }
}
