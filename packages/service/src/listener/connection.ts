import type { CloseCode, ListenerCloseCodes } from '@carillon/codec'
import { ProtocolError } from '@carillon/codec'
import type { ConnectionReport } from '@carillon/events'
import { type Counters, Outbox, type Sink } from '@carillon/fanout'
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.ts'
import { Deadline, type Timed, type TimingWheel } from '../timing-wheel.ts'
import { type Limits, Offences, RateLimit } from './limits.ts'
import { beforeReceiveError, type RawSocket, rawSocketOf } from './raw-socket.ts'

/** Who connects, as found out at the upgrade. */
export interface Identity {
  readonly userId: string
  /** When the credentials end, in milliseconds since the epoch. */
  readonly expiresAtMs?: number
  readonly deviceId?: string
}

/** What an app does with one connection. */
export interface Handler {
  /** A text frame. May throw a {@link ProtocolError}, which is answered in the protocol's own form. */
  text(frame: string): void
  /** A binary frame; without this they are refused. */
  binary?(frame: Buffer): void
  /** The connection has ended; nothing can be sent any more. */
  closed(code: number): void
  /** What the client is subscribed to, for operators. */
  subscriptions?(): readonly string[]
}

/** What all connections of a listener share. */
export interface Surroundings {
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly limits: Limits
  readonly counters: Counters
  readonly closeCodes: ListenerCloseCodes
  /** Silence after which a connection is closed, in milliseconds; 0 for never. Read at every use. */
  readonly idleTimeoutMs: () => number
  /** An error in the protocol's own form, as a prepared frame. */
  readonly errorFrame: (error: ProtocolError) => Uint8Array
  readonly frameReceived: (bytes: number) => void
  readonly ended: (connection: Connection, code: number) => void
  /** A handler threw something that is no protocol error: our own mistake. */
  readonly failed: (error: unknown) => void
}

const CONNECTION = Symbol('connection')
type Ours = WebSocket & { [CONNECTION]: Connection }

const TCP_KEEP_ALIVE_MS = 60_000

let lastId = 0

/** One client's connection: limits, deadlines and the way out. */
export class Connection implements Sink, Timed {
  readonly id = ++lastId
  readonly identity: Identity | undefined
  readonly remoteAddress: string
  readonly openedAtMs: number
  readonly outbox: Outbox
  readonly #socket: WebSocket
  readonly #raw: RawSocket
  readonly #around: Surroundings
  readonly #rate: RateLimit
  readonly #deadline = new Deadline(this)
  #offences: Offences | undefined
  #handler: Handler | undefined
  #lastFrameAtMs: number
  #closing = false
  #ended = false

  constructor(
    socket: WebSocket,
    identity: Identity | undefined,
    remoteAddress: string,
    around: Surroundings,
  ) {
    const now = around.clock.now()
    this.identity = identity
    this.remoteAddress = remoteAddress
    this.openedAtMs = now
    this.#socket = socket
    this.#raw = rawSocketOf(socket)
    this.#around = around
    this.#rate = new RateLimit(around.limits.framesBurstMax, now)
    this.#lastFrameAtMs = now
    this.outbox = new Outbox(this, around.counters, around.limits.outboxBytesMax)
    // Without an idle limit nothing but the network can tell that the other side is gone.
    if (around.idleTimeoutMs() === 0) this.#raw.setKeepAlive?.(true, TCP_KEEP_ALIVE_MS)
    // One property and shared listeners, not five closures for each connection.
    const ours = socket as Ours
    ours[CONNECTION] = this
    socket.on('message', onMessage)
    socket.on('ping', onControlFrame)
    socket.on('pong', onControlFrame)
    socket.on('close', onClose)
    socket.on('error', ignore)
    beforeReceiveError(socket, (error) => this.#receiveError(error))
  }

  get userId(): string | undefined {
    return this.identity?.userId
  }

  /** Takes the app's handler and begins to watch the time. */
  open(handler: Handler): void {
    this.#handler = handler
    this.rearm()
  }

  /** Sends one prepared frame to this client. */
  send(frame: Uint8Array): void {
    this.outbox.send(frame)
  }

  /** Closes with a code and its reason; a client that does not answer is cut off after a while. */
  close({ code, reason }: Pick<CloseCode, 'code' | 'reason'>): void {
    if (this.#closing || this.#ended) return
    this.#closing = true
    this.outbox.close()
    this.#socket.close(code, reason)
    this.#around.wheel.set(this.#deadline, this.#around.limits.closeMs)
  }

  terminate(): void {
    this.#socket.terminate()
  }

  /** Refuses a frame in the protocol's own form; too many refusals close the connection. */
  refuse(error: ProtocolError): void {
    this.outbox.send(this.#around.errorFrame(error))
    if (!error.offence) return
    this.#offences ??= new Offences()
    if (this.#offences.add(this.#around.limits, this.#around.clock.now())) {
      this.close(this.#around.closeCodes.offences)
    }
  }

  /** Sets the next deadline anew, as after a change of the idle limit. */
  rearm(): void {
    if (this.#closing || this.#ended) return
    const at = Math.min(this.#idleAtMs, this.identity?.expiresAtMs ?? Number.POSITIVE_INFINITY)
    if (at === Number.POSITIVE_INFINITY) this.#around.wheel.clear(this.#deadline)
    else this.#around.wheel.set(this.#deadline, Math.max(0, at - this.#around.clock.now()))
  }

  /** The deadline has come: of the close handshake, the credentials or the client's silence. */
  due(nowMs: number): void {
    if (this.#closing) return this.terminate()
    const { closeCodes } = this.#around
    if ((this.identity?.expiresAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) this.close(closeCodes.expired)
    else if (this.#idleAtMs <= nowMs) this.close(closeCodes.idle)
    else this.rearm()
  }

  report(): ConnectionReport {
    const { userId } = this
    const deviceId = this.identity?.deviceId
    return {
      id: String(this.id),
      ...(userId !== undefined && { user_id: userId }),
      ...(deviceId !== undefined && { device_id: deviceId }),
      opened_at: this.openedAtMs,
      remote_address: this.remoteAddress,
      bytes_in: this.#raw.bytesRead ?? 0,
      bytes_out: this.#raw.bytesWritten ?? 0,
      queued_bytes: this.outbox.queuedBytes,
      subscriptions: [...(this.#handler?.subscriptions?.() ?? [])],
    }
  }

  // The outbox's sink.

  get bufferedBytes(): number {
    return this.#raw.writableLength
  }

  get writable(): boolean {
    return this.#socket.readyState === this.#socket.OPEN && !this.#raw.writableNeedDrain
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#raw.write(bytes)
  }

  onceDrained(callback: () => void): void {
    this.#raw.once('drain', callback)
  }

  slowConsumer(): void {
    this.close(this.#around.closeCodes.slowConsumer)
  }

  // What the socket tells.

  received(data: Buffer, isBinary: boolean): void {
    if (!this.#admit(data.length)) return
    try {
      if (data.length > this.#around.limits.frameBytesMax) {
        throw new ProtocolError(
          'frame_too_large',
          `a frame may have ${this.#around.limits.frameBytesMax} bytes`,
        )
      }
      if (!isBinary) this.#handler?.text(data.toString())
      else if (this.#handler?.binary) this.#handler.binary(data)
      else throw new ProtocolError('binary_frame', 'frames must be text')
    } catch (error) {
      if (error instanceof ProtocolError) return this.refuse(error)
      this.#around.failed(error)
      this.close({ code: 1011, reason: 'internal error' })
    }
  }

  receivedControl(): void {
    this.#admit(0)
  }

  socketClosed(code: number): void {
    if (this.#ended) return
    this.#ended = true
    this.outbox.close()
    this.#around.wheel.clear(this.#deadline)
    this.#around.ended(this, code)
    this.#handler?.closed(code)
  }

  get #idleAtMs(): number {
    const timeout = this.#around.idleTimeoutMs()
    return timeout > 0 ? this.#lastFrameAtMs + timeout : Number.POSITIVE_INFINITY
  }

  /** Every frame counts: for idleness and for the rate. */
  #admit(bytes: number): boolean {
    if (this.#closing) return false
    const { clock, limits, frameReceived } = this.#around
    const now = clock.now()
    this.#lastFrameAtMs = now
    frameReceived(bytes)
    if (this.bufferedBytes > limits.outboxBytesMax) {
      // Pongs do not pass through the outbox, but wait in the same socket.
      this.outbox.overflow()
      return false
    }
    if (this.#rate.take(limits, now)) return true
    this.refuse(new ProtocolError('rate_limited', `at most ${limits.framesPerSecondMax} frames a second`))
    return false
  }

  #receiveError(error: Error): void {
    if (this.#closing) return
    const code = (error as NodeJS.ErrnoException).code
    const tooLarge = code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
    this.outbox.send(
      this.#around.errorFrame(
        tooLarge
          ? new ProtocolError(
              'frame_too_large',
              `a frame may have ${this.#around.limits.frameBytesMax} bytes`,
            )
          : new ProtocolError('malformed_frame', 'not a valid WebSocket frame'),
      ),
    )
  }
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  ;(this as Ours)[CONNECTION].received(data as Buffer, isBinary)
}

function onControlFrame(this: WebSocket): void {
  ;(this as Ours)[CONNECTION].receivedControl()
}

function onClose(this: WebSocket, code: number): void {
  ;(this as Ours)[CONNECTION].socketClosed(code)
}

/** A close follows every error of a socket; there is nothing to do before it. */
function ignore(): void {}
