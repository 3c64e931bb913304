/** The wire of voice-room-ws, as its PROTOCOL.md tells it. */

export type Fields = Readonly<Record<string, string | number | boolean | null>>

/** What the server says of a room or its members; unknown fields are kept. */
export interface Notice {
  readonly action: string
  readonly channel_name?: string
  readonly user_id?: string | number
  readonly [field: string]: unknown
}

export type ReportAction =
  | 'exit_room_report'
  | 'hang_up_report'
  | 'enter_room_report'
  | 'send_topic_msg_report'
  | 'send_gift_report'
  | 'up_deport'
  | 'up_report'
  | 'down_report'

/** By the notice's action: which report confirms it, and where it names the user that it is about. */
const reports: Readonly<Record<string, readonly [ReportAction, ...path: string[]]>> = {
  exit_room: ['exit_room_report', 'user_id'],
  hang_up: ['hang_up_report', 'user_id'],
  enter_room: ['enter_room_report', 'user_id'],
  send_topic_msg: ['send_topic_msg_report', 'user_id'],
  send_gift: ['send_gift_report', 'gift', 'sender_id'],
  up: ['up_deport', 'room_seat', 'user_id'],
  // The notice does not say who sat there, and the report may name anybody.
  down: ['down_report', 'room_seat', 'user_id'],
}

/** The report that confirms a notice, or undefined for one that is not to be confirmed. */
export function reportOf(
  notice: Notice,
): { readonly action: ReportAction; readonly userId: string } | undefined {
  if (!Object.hasOwn(reports, notice.action)) return undefined
  const [action, ...path] = reports[notice.action] as (typeof reports)[string]
  let about: unknown = notice
  for (const name of path) about = (about as Record<string, unknown> | null | undefined)?.[name]
  return { action, userId: String(about ?? 0) }
}

/** By close code: does the client connect again? */
export const voiceCloseCodes = {
  1012: true,
  1013: true,
  4401: false,
  4403: false,
  4408: true,
  4409: false,
  4410: false,
  4429: false,
}
