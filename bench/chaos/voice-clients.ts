import { DEVELOPMENT_SECRET, mintSid, signFrame } from '@carillon/auth'
import { WebSocket } from 'ws'

const PING_MS = 15_000
const RECONNECT_MIN_MS = 200
const RECONNECT_MAX_MS = 1_000

const reportOf: Readonly<Record<string, string>> = {
  exit_room: 'exit_room_report',
  enter_room: 'enter_room_report',
  send_topic_msg: 'send_topic_msg_report',
  hang_up: 'hang_up_report',
}

export function voicePath(userId: string): string {
  return `/?sid=${encodeURIComponent(mintSid(DEVELOPMENT_SECRET, userId, Math.floor(Date.now() / 1_000) + 86_400))}`
}

/** A client app: it pings, reports every notice, and comes back when it is cut off, unless it is dead itself. */
export class VoiceUser {
  readonly userId: string
  readonly room: string
  /** Which instance it is connected to, by its port. */
  port = 0
  /** Whom the exit_room notices it got were about. */
  readonly exits: string[] = []
  #socket: WebSocket | undefined
  #token = ''
  #sid = ''
  #pinger: NodeJS.Timeout | undefined
  #dead = true
  #ports: () => readonly number[] = () => []

  constructor(userId: string, room: string) {
    this.userId = userId
    this.room = room
  }

  get online(): boolean {
    return this.#token !== ''
  }

  get dead(): boolean {
    return this.#dead
  }

  /** Connects to the instance, and to another one of these whenever it is cut off. */
  live(port: number, ports: () => readonly number[]): void {
    this.#dead = false
    this.#ports = ports
    this.#connect(port)
  }

  /** Is gone for good, together with its instance: it does not even close. */
  die(): void {
    this.#dead = true
    this.#token = ''
    clearInterval(this.#pinger)
    this.#socket?.removeAllListeners()
    this.#socket?.on('error', () => {})
    const socket = this.#socket
    this.#socket = undefined
    socket?.terminate()
  }

  /** Says nothing more, while its connection stays. */
  silence(): void {
    this.#dead = true
    this.#token = ''
    clearInterval(this.#pinger)
    this.#socket?.removeAllListeners('message')
  }

  #connect(port: number): void {
    this.port = port
    const path = voicePath(this.userId)
    this.#sid = decodeURIComponent(path.slice('/?sid='.length))
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false })
    this.#socket = socket
    socket.on('message', (data) => this.#received(JSON.parse(String(data))))
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#token = ''
      clearInterval(this.#pinger)
      if (this.#dead) return
      const waitMs = RECONNECT_MIN_MS + Math.random() * (RECONNECT_MAX_MS - RECONNECT_MIN_MS)
      setTimeout(() => {
        const ports = this.#ports()
        const next = ports[Math.floor(Math.random() * ports.length)]
        if (!this.#dead) this.#connect(next ?? port)
      }, waitMs)
    })
  }

  #received(frame: { readonly [name: string]: unknown }): void {
    const { action } = frame
    if (action === 'create_token') {
      this.#token = String(frame.online_token ?? '')
      this.#pinger = setInterval(() => this.#send({ action: 'ping' }), PING_MS)
      this.#send({ action: 'ping' })
      return
    }
    if (action === 'exit_room') this.exits.push(String(frame.user_id))
    const report = reportOf[String(action)]
    if (report !== undefined) this.#send({ action: report, user_id: String(frame.user_id) })
  }

  #send(fields: Record<string, string | number>): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    const common = { online_token: this.#token, sid: this.#sid, timestamp: Math.floor(Date.now() / 1_000) }
    this.#socket.send(signFrame({ ...common, ...fields }, { method: 'md5', secret: '' }))
  }
}
