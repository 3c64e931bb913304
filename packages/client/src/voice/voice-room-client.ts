import { Client, type ClientOptions, type ConnectionEvents } from '../core/client.ts'
import { ClientError, messageOf } from '../core/errors.ts'
import { EventStream, type StreamOptions } from '../core/event-stream.ts'
import { parseObject } from '../core/json.ts'
import { type Sign, signedFrame, signMd5 } from './sign.ts'
import { type Fields, type Notice, type ReportAction, reportOf, voiceCloseCodes } from './voice.ts'

export interface VoiceRoomOptions extends Omit<ClientOptions, 'token'> {
  /** The session id, asked for anew at each attempt to connect. */
  readonly sid: () => string | Promise<string>
  /** Default: `signMd5`. */
  readonly sign?: Sign
  /**
   * Tells the others in the room, over the RTC signalling channel for instance. When it is done the notice is reported;
   * where it fails it is not, and the server asks another member.
   */
  readonly relay?: (notice: Notice) => void | Promise<void>
  /** The wall clock in milliseconds, for devices whose own is wrong. */
  readonly now?: () => number
}

export interface VoiceEvents extends ConnectionEvents {
  readonly notice: Notice
}

/** Presence in voice rooms: signs, pings, and confirms notices after they were handled. */
export class VoiceRoomClient extends Client<VoiceEvents> {
  readonly #options: VoiceRoomOptions
  readonly #streams = new Set<EventStream<Notice>>()
  /** Tells this connection from later ones. */
  #session = { sid: '', onlineToken: '' }
  #sid = ''
  #pingIntervalMs = 15_000
  #lastTimestamp = 0

  constructor(options: VoiceRoomOptions) {
    super({ ...options, token: options.sid }, { service: 'voice', closeCodes: voiceCloseCodes })
    this.#options = options
  }

  /** Notices for a `for await` loop. */
  notices(options: StreamOptions = {}): EventStream<Notice> {
    const stream: EventStream<Notice> = new EventStream(options, () => void this.#streams.delete(stream))
    this.#streams.add(stream)
    return stream
  }

  /**
   * Reports a notice, where `relay` does not.
   * @param userId whom the reported notice is about
   * @throws {ClientError} `not_connected`, `send_buffer_full` or `invalid_argument`
   */
  report(action: ReportAction, userId: string | number, channelName?: string): void {
    this.sendFields({
      action,
      user_id: userId,
      ...(channelName !== undefined && { channel_name: channelName }),
    })
  }

  /** Sends a frame with token, sid, time and signature; fields that are given stay. @throws as {@link report} */
  sendFields(fields: Fields): void {
    const { sid, onlineToken } = this.#session
    if (onlineToken === '') throw new ClientError('not_connected', 'the connection has no online_token')
    // A server that checks takes none that is older than one before.
    const timestamp = Math.max(this.#lastTimestamp, Math.floor((this.#options.now ?? Date.now)() / 1_000))
    this.#lastTimestamp = timestamp
    this.send(
      signedFrame({ online_token: onlineToken, sid, timestamp, ...fields }, this.#options.sign ?? signMd5),
    )
  }

  protected override url(base: string, sid: string): string {
    this.#sid = sid
    return `${base}/?sid=${encodeURIComponent(sid)}`
  }

  /** The server's first frame says who may stay. */
  protected override opened(): void {
    this.#session = { sid: this.#sid, onlineToken: '' }
    // A clock that was ahead once does not sign all frames to come.
    this.#lastTimestamp = 0
  }

  protected override lost(): void {
    this.#session = { sid: '', onlineToken: '' }
  }

  protected override ended(error: ClientError | undefined): void {
    for (const stream of [...this.#streams]) stream.end(error)
  }

  protected override heartbeatMs(): number {
    return this.#pingIntervalMs
  }

  protected override heartbeat(): void {
    try {
      this.sendFields({ action: 'ping' })
    } catch (error) {
      // The socket does not take it: the server will notice, and close.
      if (error instanceof ClientError) this.fail(error.code, error.message)
    }
  }

  protected override received(frame: string | Uint8Array): void {
    const message = typeof frame === 'string' ? parseObject(frame) : undefined
    if (typeof message?.action !== 'string') {
      return this.fail('malformed_frame', 'the frame is no message of voice-room-ws')
    }
    if (message.action === 'create_token' && this.#session.onlineToken === '') return this.#greeted(message)
    if (message.action === 'error') return this.#refused(String(message.error_reason))
    const notice = message as unknown as Notice
    this.emit('notice', notice)
    for (const stream of [...this.#streams]) stream.push(notice)
    void this.#relay(notice)
  }

  #greeted({
    online_token: onlineToken,
    ping_interval: intervalS,
    error_reason: reason,
  }: Record<string, unknown>) {
    // A close with the code that says what to do follows.
    if (typeof onlineToken !== 'string' || onlineToken === '') return this.fail('refused', String(reason))
    this.#session = { sid: this.#sid, onlineToken }
    const isInterval = typeof intervalS === 'number' && intervalS >= 1 && intervalS <= 3_600
    if (isInterval) this.#pingIntervalMs = intervalS * 1_000
    this.heartbeat()
    this.ready()
  }

  #refused(reason: string): void {
    this.fail('refused', reason)
    // Nothing that is sent over this connection counts any more; the next one has a new sid.
    if (reason.startsWith('sid has expired')) this.drop(1006, reason)
  }

  async #relay(notice: Notice): Promise<void> {
    const { relay } = this.#options
    const report = reportOf(notice)
    if (relay === undefined || report === undefined) return
    const session = this.#session
    try {
      await relay(notice)
    } catch (error) {
      return this.fail('relay_failed', messageOf(error))
    }
    // The next connection was not given this notice: the server has asked another member.
    if (this.#session !== session) return
    try {
      this.report(report.action, report.userId)
    } catch (error) {
      this.fail(error instanceof ClientError ? error.code : 'refused', messageOf(error))
    }
  }
}
