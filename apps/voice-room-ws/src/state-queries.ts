import type { VoiceCall, VoiceRoomState, VoiceUserState } from '@carillon/events'
import type { RoomRecord } from './room.ts'
import type { UserRecord } from './user.ts'

/** Bytes of an answer: it must fit into a message. */
const ANSWER_BYTES_MAX = 500_000

const fine = { error_code: 0, error_reason: '' }

export function userState({ user_id, session, room, call }: UserRecord): VoiceUserState {
  return {
    ...fine,
    user_id,
    online: session !== null,
    channel_name: room?.channel_name ?? '',
    room_seat: room?.seat?.value ?? null,
    call,
  }
}

/** The call of a channel, where one is under way. */
export function callOf({ channel_name, call }: RoomRecord): VoiceCall | null {
  if (call === null || call.ended || call.user_id === null || call.receiver_id === null) return null
  return { channel_name, user_id: call.user_id, receiver_id: call.receiver_id }
}

/** Members in the order of their ids, from the first behind `after` on, as many as fit. */
export function roomState(
  channelName: string,
  members: Iterable<UserRecord>,
  after: string | undefined,
  call: VoiceCall | null,
): VoiceRoomState {
  const here = [...members].filter(({ room }) => room?.channel_name === channelName)
  const sorted = here
    .filter(({ user_id }) => after === undefined || user_id > after)
    .sort((a, b) => (a.user_id < b.user_id ? -1 : 1))
  const listed: VoiceRoomState['members'] = []
  let bytes = 0
  for (const { user_id, session, room } of sorted) {
    const member = { user_id, online: session !== null, room_seat: room?.seat?.value ?? null }
    bytes += Buffer.byteLength(JSON.stringify(member)) + 1
    if (bytes > ANSWER_BYTES_MAX) break
    listed.push(member)
  }
  const last = listed.at(-1)?.user_id
  return {
    ...fine,
    channel_name: channelName,
    call,
    members: listed,
    member_count: here.length,
    ...(listed.length < sorted.length && last !== undefined && { next: last }),
  }
}
