import { textFrame } from '@carillon/codec'
import type { VoiceAction, VoiceNotice, VoiceNotices } from '@carillon/events'

/** What a member reports when the others know, and which notice it confirms. `up_deport` is the document's spelling. */
export const reports = {
  exit_room_report: 'exit_room',
  hang_up_report: 'hang_up',
  enter_room_report: 'enter_room',
  send_topic_msg_report: 'send_topic_msg',
  send_gift_report: 'send_gift',
  up_deport: 'up',
  up_report: 'up',
  down_report: 'down',
} as const satisfies Readonly<Record<string, VoiceAction>>

export type ReportAction = keyof typeof reports

export function isReport(action: string): action is ReportAction {
  return Object.hasOwn(reports, action)
}

/** A room_notice has no report: it cannot be confirmed, so everybody gets it. */
export function isConfirmable(action: VoiceAction): boolean {
  return action !== 'room_notice'
}

/** Whom a notice is about, as a report must name them; undefined where the notice names nobody. */
export function subjectOf(action: VoiceAction, body: VoiceNotice): string | undefined {
  switch (action) {
    case 'exit_room':
    case 'enter_room':
    case 'send_topic_msg':
    case 'hang_up':
      return String((body as VoiceNotices['enter_room']).user_id)
    case 'send_gift':
      return String((body as VoiceNotices['send_gift']).gift.sender_id)
    case 'up':
      return String((body as VoiceNotices['up']).room_seat.user_id)
    case 'down':
    case 'room_notice':
      return undefined
    default:
      return action satisfies never
  }
}

/** The notice as a client gets it: the publisher's body behind its `action`. */
export function noticeText(action: VoiceAction, body: VoiceNotice): string {
  return JSON.stringify({ action, ...body })
}

export function noticeFrame(text: string): Buffer {
  return textFrame(text)
}
