import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { isNestedWithin } from '../nesting.ts'
import type { Payload, Result } from '../payload.ts'
import { idProblem, VoiceId } from './ids.ts'

/*
 * What a room, or one user, is told: the bodies as the clients' document prints them, without `action`. Only what
 * this service itself acts on is required; the rest is checked where it is given. Unknown fields pass through.
 */

const text = Type.Optional(Type.String())
/** Codes such as sex and status: the document leaves open whether they are numbers, texts or booleans. */
const code = Type.Optional(Type.Union([Type.Integer(), Type.String(), Type.Boolean()]))
const channel_name = Type.Optional(Type.String({ minLength: 1 }))

const seat = { id: VoiceId, status: code, microphone: code }
const person = {
  user_id: VoiceId,
  nickname: text,
  sex: code,
  avatar_url: text,
  avatar_small_url: text,
}

const CarGift = Type.Object({
  name: text,
  image_url: text,
  image_small_url: text,
  image_big_url: text,
  dynamic_image_url: text,
  svga_image_name: text,
  render_type: text,
  svga_image_url: text,
  show_rank: Type.Optional(Type.Integer()),
  expire_time: Type.Optional(Type.Integer()),
  gift_type: Type.Optional(Type.Integer()),
  notice_content: text,
})

export const voiceNotices = {
  exit_room: Type.Object(
    {
      user_id: VoiceId,
      channel_name,
      room_seat: Type.Optional(Type.Union([Type.Object(seat), Type.Null()])),
    },
    { $id: 'VoiceExitRoom' },
  ),
  hang_up: Type.Object({ user_id: VoiceId, receiver_id: VoiceId, channel_name }, { $id: 'VoiceHangUp' }),
  enter_room: Type.Object(
    {
      ...person,
      channel_name,
      i_segment: text,
      i_segment_text: text,
      user_car_gift: Type.Optional(Type.Union([CarGift, Type.Null()])),
    },
    { $id: 'VoiceEnterRoom' },
  ),
  send_topic_msg: Type.Object(
    { ...person, content: Type.String(), channel_name },
    { $id: 'VoiceTopicMessage' },
  ),
  send_gift: Type.Object(
    {
      notify_type: Type.Unsafe<'bc' | 'ptp'>({ type: 'string', enum: ['bc', 'ptp'] }),
      channel_name,
      gift: Type.Object({
        id: VoiceId,
        sender_room_seat_id: Type.Optional(VoiceId),
        receiver_room_seat_id: Type.Optional(VoiceId),
        sender_id: VoiceId,
        receiver_id: Type.Optional(VoiceId),
        sender_nickname: text,
        receiver_nickname: text,
        name: text,
        dynamic_image_url: text,
        image_url: text,
        image_big_url: text,
        image_small_url: text,
        num: Type.Optional(Type.Integer()),
      }),
    },
    { $id: 'VoiceGift' },
  ),
  up: Type.Object(
    {
      channel_name,
      room_seat: Type.Object({
        ...person,
        ...seat,
        rank: Type.Optional(Type.Integer()),
        room_id: Type.Optional(VoiceId),
      }),
    },
    { $id: 'VoiceUp' },
  ),
  down: Type.Object(
    {
      channel_name,
      room_seat: Type.Object({
        ...seat,
        rank: Type.Optional(Type.Integer()),
        room_id: Type.Optional(VoiceId),
      }),
    },
    { $id: 'VoiceDown' },
  ),
  room_notice: Type.Object(
    { channel_name, expire_time: Type.Optional(Type.Integer()), content: Type.String(), client_url: text },
    { $id: 'VoiceRoomNotice' },
  ),
} as const

export type VoiceAction = keyof typeof voiceNotices
export type VoiceNotices = { readonly [A in VoiceAction]: Static<(typeof voiceNotices)[A]> }
export type VoiceNotice = VoiceNotices[VoiceAction]

export const voiceActions = Object.keys(voiceNotices) as VoiceAction[]

export function isVoiceAction(text: string): text is VoiceAction {
  return Object.hasOwn(voiceNotices, text)
}

/** A notice goes to a client in one frame. */
export const VOICE_NOTICE_BYTES_MAX = 65_536

const validators = Object.fromEntries(
  Object.entries(voiceNotices).map(([action, schema]) => [action, Compile(schema as TSchema)]),
)

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function checkObject(value: unknown): Result<VoiceNotice> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject) return { ok: false, reason: 'payload must be object' }
  if (!isNestedWithin(value)) return { ok: false, reason: 'payload is nested too deeply' }
  return { ok: true, value: value as VoiceNotice }
}

/** By action, as the last part of the subject says it. */
export const noticeMessages = Object.fromEntries(
  Object.entries(voiceNotices).map(([action, schema]) => [
    action,
    { summary: `The notice ${action}`, schema },
  ]),
)

/** Any of the eight bodies; which one, the subject says: see {@link refineNotice}. */
export const noticePayload: Payload<VoiceNotice> = {
  contentType: 'application/json',
  schema: { anyOf: Object.entries(voiceNotices).map(([action, schema]) => ({ title: action, ...schema })) },
  decode(bytes) {
    if (bytes.length > VOICE_NOTICE_BYTES_MAX)
      return { ok: false, reason: `a notice may have ${VOICE_NOTICE_BYTES_MAX} bytes` }
    let value: unknown
    try {
      value = JSON.parse(utf8.decode(bytes))
    } catch {
      return { ok: false, reason: 'not UTF-8 JSON' }
    }
    return checkObject(value)
  },
  check: checkObject,
  encode: (value) => Buffer.from(JSON.stringify(value)),
}

/**
 * Holds a body against its action. `channel_name` is filled in or must agree; an `action` in the body must be the
 * subject's, and is left out: the frame has it in front.
 */
export function refineNotice(action: string, body: VoiceNotice, channelName?: string): Result<VoiceNotice> {
  if (!isVoiceAction(action))
    return { ok: false, reason: `unknown action, not one of ${voiceActions.join(', ')}` }
  const validator = validators[action] as ReturnType<typeof Compile>
  if (!validator.Check(body)) {
    const error = validator.Errors(body)[0]
    return {
      ok: false,
      reason: `${error?.instancePath || 'payload'} ${error?.message ?? 'does not match its schema'}`,
    }
  }
  const { action: stated = action, ...rest } = body as VoiceNotice & { action?: unknown }
  if (stated !== action)
    return { ok: false, reason: `action is ${String(stated)} in the payload, ${action} in the subject` }
  const problem = longId(rest as VoiceNotice)
  if (problem !== undefined) return { ok: false, reason: problem }
  if (channelName === undefined) return { ok: true, value: 'action' in body ? (rest as VoiceNotice) : body }
  const { channel_name: named = channelName } = rest as { channel_name?: string }
  if (named !== channelName)
    return { ok: false, reason: `channel_name is ${named} in the payload, ${channelName} in the subject` }
  if ('channel_name' in rest && !('action' in body)) return { ok: true, value: body }
  return { ok: true, value: { ...rest, channel_name: channelName } as VoiceNotice }
}

/** Ids that become keys and subjects are bounded in bytes, which a schema cannot say. */
function longId(body: VoiceNotice): string | undefined {
  const { user_id, receiver_id, room_seat, gift } = body as {
    user_id?: VoiceId
    receiver_id?: VoiceId
    room_seat?: { id?: VoiceId; user_id?: VoiceId } | null
    gift?: { sender_id?: VoiceId }
  }
  for (const id of [user_id, receiver_id, room_seat?.id, room_seat?.user_id, gift?.sender_id]) {
    const problem = id === undefined ? undefined : idProblem('an id', String(id))
    if (problem !== undefined) return problem
  }
  return undefined
}
