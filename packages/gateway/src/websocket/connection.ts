import { type CloseCode, PING_FRAME, ProtocolError } from '@carillon/codec'
import type { ConnectionReport } from '@carillon/events'
import { Outbox } from '@carillon/fanout'
import { Deadline, type Timed } from '@carillon/service'
import { startWrite, tracing } from '@carillon/tracing'
import type { WebSocket } from 'ws'
import type { ClientConnection, Identity } from '../client-connection.ts'
import { RateLimit, ViolationCounter } from '../limits.ts'
import { OrderedActions } from '../ordered-actions.ts'
import type { UserShare } from '../user-share.ts'
import type { ConnectionContext, Handler } from './connection-context.ts'
import {
  beforeReceiveError,
  type RawSocket,
  type Receiver,
  unfinishedBytesOf,
  webSocketOf,
} from './raw-socket.ts'
import { frameTooLarge, receiveError } from './receive-error.ts'
import { SocketSink } from './socket-sink.ts'
import { UnfinishedMessage } from './unfinished-message.ts'

const CONNECTION = Symbol('connection')
type WithConnection = { [CONNECTION]: Connection }

const TCP_KEEP_ALIVE_MS = 60_000
/** Credentials end by wall time, which may be set meanwhile: it is looked at this often at least. */
const EXPIRY_CHECK_MS = 60_000

/** What may wait for NATS to confirm something, for one connection. */
const WAITING_ACTIONS_MAX = 4_096

/** The WebSocket protocol's own code for what a server does not put up with. */
const UNFINISHED = { code: 1008, reason: 'unfinished message' }

let lastId = 0

/** One client's WebSocket connection: limits, deadlines and the way out. */
export class Connection extends SocketSink implements ClientConnection, Timed {
  readonly id = ++lastId
  readonly remoteAddress: string
  readonly openedAtMs: number
  readonly outbox: Outbox
  readonly #context: ConnectionContext
  readonly #rate: RateLimit
  readonly #deadline = new Deadline(this)
  #identity: Identity | undefined
  #share: UserShare | undefined
  #unfinished: UnfinishedMessage | undefined
  #violations: ViolationCounter | undefined
  #actions: OrderedActions | undefined
  #handler: Handler | undefined
  /** Monotonic. */
  #lastFrameAtMs: number
  /** Monotonic: of the last ping sent, or of the opening. */
  #pingedAtMs: number
  /** Too many violations: frames are not looked at any more. */
  #banned = false
  #closing = false
  #closeCode: number | undefined
  #ended = false

  constructor(
    socket: WebSocket,
    identity: Identity | undefined,
    remoteAddress: string,
    context: ConnectionContext,
  ) {
    super(socket, context.directWriter)
    const { clock, limits, counters } = context.gateway
    this.#identity = identity
    if (identity) this.#share = context.gateway.users.acquire(identity.userId)
    this.remoteAddress = remoteAddress
    this.openedAtMs = clock.now()
    this.#context = context
    this.#lastFrameAtMs = clock.monotonic()
    this.#pingedAtMs = this.#lastFrameAtMs
    this.#rate = new RateLimit(limits.framesBurstMax, this.#lastFrameAtMs)
    this.outbox = new Outbox(this, counters, limits.outboxBytesMax)
    // Without an idle limit nothing but the network can tell that the other side is gone.
    if (context.idleTimeoutMs() === 0)
      this.raw.setKeepAlive?.(true, TCP_KEEP_ALIVE_MS)
      // One property and shared listeners, not six closures for each connection.
    ;(socket as unknown as WithConnection)[CONNECTION] = this
    // After ws has read the bytes.
    this.raw.on('data', onData)
    socket.on('message', onMessage)
    socket.on('ping', onControlFrame)
    socket.on('pong', onControlFrame)
    socket.on('close', onClose)
    socket.on('error', ignore)
    beforeReceiveError(socket, onReceiveError)
  }

  get identity(): Identity | undefined {
    return this.#identity
  }

  /** What it shares with the user's other connections; undefined until the client has authenticated. */
  get share(): UserShare | undefined {
    return this.#share
  }

  get userId(): string | undefined {
    return this.#identity?.userId
  }

  /** Whether it can still be sent something. */
  get isOpen(): boolean {
    return !this.#closing && !this.#ended
  }

  /** The code that this side has closed it with; undefined while it is open, and where the client was first. */
  get closeCode(): number | undefined {
    return this.#closeCode
  }

  get queuedBytes(): number {
    return this.outbox.queuedBytes
  }

  /** Takes the app's handler and begins to watch the time. */
  open(handler: Handler): void {
    this.#handler = handler
    this.rearm()
  }

  /** The client has authenticated after the upgrade. The identity must not change any more. */
  identify(identity: Identity): void {
    const { users, connections } = this.#context.gateway
    this.#identity = identity
    if (!this.#ended) this.#share ??= users.acquire(identity.userId)
    connections.identified(this)
  }

  /** Reads nothing more from the client until {@link resume}: what it sends waits in the network. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Sends one prepared frame to this client. */
  send(frame: Uint8Array): void {
    const written = tracing.enabled ? startWrite(frame.length) : undefined
    this.outbox.send(frame)
    written?.()
  }

  /**
   * Does something for this connection after what was asked for before, and not before a promise is kept: answers
   * come in the order of the requests, though some have to wait. Who asks for more while too much waits is closed.
   */
  inOrder(action: () => void, after?: Promise<void>): void {
    if (this.#actions === undefined && after === undefined) return action()
    this.#actions ??= new OrderedActions()
    // From then on no frame is looked at. This action is still done: it may be one that lets go of something.
    if (this.#actions.size >= WAITING_ACTIONS_MAX && this.isOpen) this.outbox.overflow()
    this.#actions.add(action, this.#ended ? undefined : after)
  }

  close({ code, reason }: Pick<CloseCode, 'code' | 'reason'>): void {
    if (this.#closing || this.#ended) return
    const { wheel, limits } = this.#context.gateway
    // What was published before the close comes before it.
    this.outbox.settle()
    // Throws for a code or a reason that no close frame can hold: the connection lives on.
    this.socket.close(code, reason)
    this.#closing = true
    this.#closeCode = code
    this.outbox.close()
    wheel.set(this.#deadline, limits.closeMs)
  }

  terminate(): void {
    this.socket.terminate()
  }

  /** Refuses a frame in the protocol's own form; too many refusals close the connection. */
  refuse(error: ProtocolError): void {
    this.inOrder(() => this.outbox.send(this.#context.errorFrame(error)))
    if (!error.violation) return
    const { limits, clock, closeCodes } = this.#context.gateway
    this.#violations ??= new ViolationCounter()
    if (!this.#violations.add(limits, clock.monotonic())) return
    // What it asked for before is still answered; nothing more is taken from it.
    this.#banned = true
    this.inOrder(() => this.close(closeCodes.violations))
  }

  /** Sets the next deadline anew, as after a change of the idle limit. */
  rearm(): void {
    if (this.#closing || this.#ended) return
    const { wheel } = this.#context.gateway
    const expires = this.identity?.expiresAtMs !== undefined
    const checkInMs = expires ? Math.min(this.#expiresInMs, EXPIRY_CHECK_MS) : Number.POSITIVE_INFINITY
    const unfinishedInMs = this.#unfinished?.dueInMs ?? Number.POSITIVE_INFINITY
    const delayMs = Math.min(this.#idleInMs, this.#pingInMs, checkInMs, unfinishedInMs)
    if (delayMs === Number.POSITIVE_INFINITY) wheel.clear(this.#deadline)
    else wheel.set(this.#deadline, Math.max(0, delayMs))
  }

  /** The deadline has come: of the close handshake, the credentials or the client's silence. */
  due(): void {
    if (this.#closing) return this.terminate()
    const { closeCodes } = this.#context.gateway
    if (this.#expiresInMs <= 0) this.close(closeCodes.expired)
    else if (this.#idleInMs <= 0) this.close(closeCodes.idle)
    else if (this.#unfinished && this.#unfinished.dueInMs <= 0) this.#refuseUnfinished()
    else {
      if (this.#pingInMs <= 0) this.#ping()
      this.rearm()
    }
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
      bytes_in: this.bytesIn,
      bytes_out: this.bytesOut,
      queued_bytes: this.queuedBytes,
      subscriptions: [...(this.#handler?.subscriptions?.() ?? [])],
    }
  }

  slowConsumer(): void {
    this.close(this.#context.gateway.closeCodes.slowConsumer)
  }

  // What the socket tells.

  received(data: Buffer, isBinary: boolean): void {
    this.#unfinished?.restart()
    if (!this.#admit(data.length)) return
    const { gateway } = this.#context
    try {
      if (data.length > gateway.limits.frameBytesMax) throw frameTooLarge(gateway.limits)
      if (!isBinary) this.#handler?.text(data.toString())
      else if (this.#handler?.binary) this.#handler.binary(data)
      else throw new ProtocolError('binary_frame', 'frames must be text')
    } catch (error) {
      if (error instanceof ProtocolError) return this.refuse(error)
      gateway.handlerFailed(error)
      this.close({ code: 1011, reason: 'internal error' })
    }
  }

  /** Bytes have been read: part of a message, perhaps. */
  receivedBytes(): void {
    const bytes = unfinishedBytesOf(this.socket)
    if ((bytes === 0 && this.#unfinished === undefined) || this.#ended) return
    const { gateway } = this.#context
    this.#unfinished ??= new UnfinishedMessage(gateway, this.#share)
    const waiting = this.#unfinished.dueInMs !== Number.POSITIVE_INFINITY
    if (this.#unfinished.hold(bytes)) this.#refuseUnfinished()
    // A deadline that is set for earlier finds out by itself.
    else if (bytes > 0 && !waiting && !this.#wakesWithin(this.#unfinished.dueInMs)) this.rearm()
  }

  /** A frame cannot be received at all. */
  receiveFailed(error: Error): void {
    if (this.#closing) return
    this.outbox.send(this.#context.errorFrame(receiveError(error, this.#context.gateway.limits)))
  }

  receivedControl(): void {
    this.#admit(0)
  }

  socketClosed(code: number): void {
    if (this.#ended) return
    this.#ended = true
    const { gateway } = this.#context
    this.#unfinished?.hold(0)
    if (this.#share && this.userId !== undefined) gateway.users.release(this.userId)
    this.outbox.close()
    // Nothing is sent any more, but what was asked for may have let go of something.
    this.#actions?.finish()
    gateway.wheel.clear(this.#deadline)
    gateway.ended(this, code)
    this.#handler?.closed(code)
  }

  get #idleInMs(): number {
    const timeout = this.#context.idleTimeoutMs()
    if (timeout === 0) return Number.POSITIVE_INFINITY
    return this.#lastFrameAtMs + timeout - this.#context.gateway.clock.monotonic()
  }

  get #pingInMs(): number {
    const { pingIntervalMs, gateway } = this.#context
    if (pingIntervalMs === 0) return Number.POSITIVE_INFINITY
    const since = Math.max(this.#lastFrameAtMs, this.#pingedAtMs)
    return since + pingIntervalMs - gateway.clock.monotonic()
  }

  #ping(): void {
    this.#pingedAtMs = this.#context.gateway.clock.monotonic()
    // No delivery: it goes past the outbox, and not at all to a client that does not read.
    if (this.writable) this.write(PING_FRAME)
  }

  get #expiresInMs(): number {
    const expiresAtMs = this.identity?.expiresAtMs
    if (expiresAtMs === undefined) return Number.POSITIVE_INFINITY
    return expiresAtMs - this.#context.gateway.clock.now()
  }

  /** Every frame counts: for idleness and for the rate. */
  #admit(bytes: number): boolean {
    if (this.#closing || this.#banned) return false
    const { gateway } = this.#context
    const { limits } = gateway
    const now = gateway.clock.monotonic()
    this.#lastFrameAtMs = now
    gateway.frameReceived(bytes)
    if (this.bufferedBytes > limits.outboxBytesMax) {
      // Pongs do not pass through the outbox, but wait in the same socket.
      this.outbox.overflow()
      return false
    }
    if (!this.#rate.take(limits, now)) {
      this.refuse(new ProtocolError('rate_limited', `at most ${limits.framesPerSecondMax} frames a second`))
    } else if (this.#share && !gateway.users.takeFrame(this.#share)) {
      const message = `at most ${limits.framesPerSecondPerUserMax} frames a second over all connections of a user`
      this.refuse(new ProtocolError('rate_limited', message))
    } else return true
    return false
  }

  #refuseUnfinished(): void {
    if (this.#closing) return
    const message = 'a message was not completed in time, or too many are unfinished'
    this.outbox.send(this.#context.errorFrame(new ProtocolError('unfinished_message', message)))
    this.close(UNFINISHED)
  }

  #wakesWithin(ms: number): boolean {
    return this.#deadline.linked && this.#deadline.atMs <= this.#context.gateway.clock.monotonic() + ms
  }
}

const connectionOf = (socket: WebSocket) => (socket as unknown as WithConnection)[CONNECTION]
const connectionWith = (part: RawSocket | Receiver): Connection | undefined => {
  const socket = webSocketOf(part)
  return socket && connectionOf(socket)
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  connectionOf(this).received(data as Buffer, isBinary)
}

function onData(this: RawSocket): void {
  connectionWith(this)?.receivedBytes()
}

function onReceiveError(this: Receiver, error: Error): void {
  connectionWith(this)?.receiveFailed(error)
}

function onControlFrame(this: WebSocket): void {
  connectionOf(this).receivedControl()
}

function onClose(this: WebSocket, code: number): void {
  connectionOf(this).socketClosed(code)
}

/** A close follows every error of a socket; there is nothing to do before it. */
function ignore(): void {}
