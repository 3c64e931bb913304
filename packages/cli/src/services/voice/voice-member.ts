import { type SignOptions, signFrame } from '@carillon/auth'
import type { Send } from '../../client/line-client.ts'

type Fields = Readonly<Record<string, string | number | boolean | null>>

/** Which report confirms a notice, and where the notice names the user that it is about. */
const reports: Readonly<Record<string, { readonly report: string; readonly about: readonly string[] }>> = {
  exit_room: { report: 'exit_room_report', about: ['user_id'] },
  hang_up: { report: 'hang_up_report', about: ['user_id'] },
  enter_room: { report: 'enter_room_report', about: ['user_id'] },
  send_topic_msg: { report: 'send_topic_msg_report', about: ['user_id'] },
  send_gift: { report: 'send_gift_report', about: ['gift', 'sender_id'] },
  up: { report: 'up_deport', about: ['room_seat', 'user_id'] },
  // The notice does not say who sat there, and a report may name anybody.
  down: { report: 'down_report', about: ['room_seat', 'user_id'] },
}

/** How the services of this machine sign: by the same variables. */
export function signOptions(env: NodeJS.ProcessEnv): SignOptions {
  const method = env.VOICE_SIGN === 'hmac-sha256' ? 'hmac-sha256' : 'md5'
  return { method, secret: env.VOICE_SIGN_SECRET ?? '' }
}

/** A client app's part of the protocol: it signs, pings, and reports every notice. */
export class VoiceMember {
  readonly #sid: string
  readonly #sign: SignOptions
  #onlineToken = ''
  #pinging: NodeJS.Timeout | undefined

  constructor(sid: string, sign: SignOptions) {
    this.#sid = sid
    this.#sign = sign
  }

  get online(): boolean {
    return this.#onlineToken !== ''
  }

  /** Takes a frame of the server; answers what it sent because of it, if anything. */
  received(text: string, send: Send): string | undefined {
    const frame = JSON.parse(text) as { readonly [name: string]: unknown }
    if (frame.action === 'create_token') {
      this.#onlineToken = String(frame.online_token ?? '')
      const everyMs = Number(frame.ping_interval ?? 15) * 1_000
      const ping = () => send(this.frame({ action: 'ping' }))
      if (!this.online) return undefined
      ping()
      this.#pinging = setInterval(ping, everyMs)
      return undefined
    }
    const known = reports[String(frame.action)]
    if (known === undefined) return undefined
    const about = known.about.reduce<unknown>(
      (value, name) => (value as Record<string, unknown>)?.[name],
      frame,
    )
    const report = this.frame({
      action: known.report,
      user_id: (about as string | number | undefined) ?? '0',
    })
    send(report)
    return report
  }

  /** A frame with token, sid, time and signature; fields that are given already stay. */
  frame(fields: Fields): string {
    const common = {
      online_token: this.#onlineToken,
      sid: this.#sid,
      timestamp: Math.floor(Date.now() / 1_000),
    }
    return signFrame({ ...common, ...fields }, this.#sign)
  }

  stop(): void {
    clearInterval(this.#pinging)
  }
}
