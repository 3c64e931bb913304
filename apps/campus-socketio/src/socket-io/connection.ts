import {
  asciiPacket,
  type CloseCode,
  ProtocolError,
  socketIoEventWithAck,
  socketIoPackets,
} from '@carillon/codec'
import type { ConnectionReport } from '@carillon/events'
import { Outbox, type Sink } from '@carillon/fanout'
import {
  type ClientConnection,
  type Gateway,
  type Identity,
  RateLimit,
  ViolationCounter,
} from '@carillon/gateway'
import { Deadline, type Timed } from '@carillon/service'
import { startWrite, tracing } from '@carillon/tracing'
import type { Socket as EngineSocket } from 'engine.io'
import type { Socket } from 'socket.io'
import {
  boundPollingClose,
  forgetAcknowledgement,
  hasEmptyWriteBuffer,
  onAcknowledgement,
  rawSocketOf,
  webSocketOf,
} from './engine-socket.ts'
import { MALFORMED, TOO_LARGE } from './packet-decoder.ts'

/** What an app does with one connection. */
export interface Handler {
  /** An event of the client. May throw a {@link ProtocolError}, which is answered in the protocol's own form. */
  event(name: unknown, args: readonly unknown[]): void
  /** The connection has ended; nothing can be sent any more. */
  closed(): void
  /** What the client is subscribed to, for operators. */
  subscriptions?(): readonly string[]
}

/** What all connections of a transport share. */
export interface ConnectionContext {
  readonly gateway: Gateway<SocketIoConnection>
  /** An error in the protocol's own form, as a prepared frame. */
  readonly errorFrame: (error: ProtocolError) => Uint8Array
  /** What a client is told before it is closed, as a prepared frame. */
  readonly closeFrame: (code: CloseCode) => Uint8Array
  /** The close code of this number; clients are asked to come back only where it says so. */
  readonly closeCodeOf: (code: Pick<CloseCode, 'code' | 'reason'>) => CloseCode
}

const CONNECTION = Symbol('connection')
type OwnedEngineSocket = EngineSocket & { [CONNECTION]?: SocketIoConnection }

/** The connection of an Engine.IO socket. */
export function connectionOf(engine: EngineSocket): SocketIoConnection | undefined {
  return (engine as OwnedEngineSocket)[CONNECTION]
}

let lastId = 0

/** One client's connection over polling or WebSocket: limits, deadlines and the way out. */
export class SocketIoConnection implements ClientConnection, Sink, Timed {
  readonly id = String(++lastId)
  readonly remoteAddress: string
  readonly openedAtMs: number
  readonly outbox: Outbox
  readonly #engine: EngineSocket
  readonly #context: ConnectionContext
  readonly #rate: RateLimit
  readonly #deadline = new Deadline(this)
  #socket: Socket | undefined
  #identity: Identity | undefined
  #handler: Handler | undefined
  #violations: ViolationCounter | undefined
  #lastAckId = 0
  #bytesIn = 0
  #bytesOut = 0
  /** Bytes handed to Engine.IO that it has not handed on: a polling client must fetch them. */
  #unfetchedBytes = 0
  #closeCode: number | undefined
  #ended = false

  constructor(engine: EngineSocket, remoteAddress: string, context: ConnectionContext) {
    const { clock, limits, counters, wheel } = context.gateway
    this.remoteAddress = remoteAddress
    this.openedAtMs = clock.now()
    this.#engine = engine
    this.#context = context
    this.#rate = new RateLimit(limits.framesBurstMax, clock.monotonic())
    this.outbox = new Outbox(this, counters, limits.outboxBytesMax)
    ;(engine as OwnedEngineSocket)[CONNECTION] = this
    // Shared listeners, not closures for each connection.
    engine.on('packet', onPacket)
    engine.on('flush', onFlush)
    engine.on('upgrade', onUpgrade)
    engine.on('close', onClose)
    boundPollingClose(engine, limits.closeMs)
    wheel.set(this.#deadline, limits.unauthenticatedMs)
    this.watchPings()
  }

  get identity(): Identity | undefined {
    return this.#identity
  }

  get queuedBytes(): number {
    return this.outbox.queuedBytes
  }

  get open(): boolean {
    return !this.#ended && this.#closeCode === undefined
  }

  /** Whether the client has joined the namespace. One that asks for it twice in a row would do so twice. */
  get attached(): boolean {
    return this.#socket !== undefined
  }

  /** Takes the client's namespace and the app's handler. */
  attach(socket: Socket, handler: Handler): void {
    this.#socket = socket
    this.#handler = handler
    socket.onAny((name: unknown, ...args: unknown[]) => this.#event(name, args))
    // A client that leaves the namespace has nothing else here.
    socket.on('disconnect', () => this.#engine.close())
  }

  /** The client has authenticated: it is found by its user from now on. */
  identify(identity: Identity): void {
    this.#identity = identity
    this.#context.gateway.connections.identified(this)
    this.settle()
  }

  /** The client has done what it must do in time. */
  settle(): void {
    if (this.open) this.#context.gateway.wheel.clear(this.#deadline)
  }

  /** Sends one prepared frame to this client. */
  send(frame: Uint8Array): void {
    this.outbox.send(frame)
  }

  /**
   * Sends an event that the client acknowledges, and calls back with the acknowledgement's arguments if it comes.
   * Answers the id under which {@link forgetAck} stops waiting and `sendAgain` repeats it.
   */
  sendWithAck(
    event: string,
    body: Uint8Array,
    acknowledged: (args: readonly unknown[]) => void,
    sendAgain = ++this.#lastAckId,
  ): number {
    if (this.#socket && this.open) {
      onAcknowledgement(this.#socket, sendAgain, (...args) => this.#guard(() => acknowledged(args)))
      const frame = socketIoEventWithAck(sendAgain, event, body)
      const written = tracing.enabled ? startWrite(frame.length) : undefined
      this.outbox.send(frame)
      written?.()
    }
    return sendAgain
  }

  forgetAck(id: number): void {
    if (this.#socket) forgetAcknowledgement(this.#socket, id)
  }

  /** Tells the client why, asks it to stay away where the code says so, and closes. */
  close(given: Pick<CloseCode, 'code' | 'reason'>): void {
    if (!this.open) return
    const code = this.#context.closeCodeOf(given)
    this.outbox.send(this.#context.closeFrame(code))
    if (!this.open) return
    this.#closeCode = code.code
    this.outbox.close()
    // Clients come back by themselves unless they are disconnected from the namespace.
    if (!code.reconnect) this.#socket?.disconnect()
    this.#engine.close()
    if (!this.#ended) this.#context.gateway.wheel.set(this.#deadline, this.#context.gateway.limits.closeMs)
  }

  terminate(): void {
    const webSocket = webSocketOf(this.#engine)
    if (webSocket) webSocket.terminate()
    else this.#engine.close(true)
  }

  /** Refuses what the client sent in the protocol's own form; too many refusals close the connection. */
  refuse(error: ProtocolError): void {
    if (!this.open) return
    this.outbox.send(this.#context.errorFrame(error))
    if (error.violation) this.#violation()
  }

  /** A polling request of this session. Answers false where there are too many of them. */
  admitRequest(): boolean {
    // A client that is being closed may still fetch why, within the same limit.
    return this.#take()
  }

  /** The deadline has come: of the time to authenticate, or of the close. */
  due(): void {
    if (!this.open) return this.terminate()
    this.close(this.#context.gateway.closeCodes.expired)
  }

  report(): ConnectionReport {
    const { userId, deviceId } = this.#identity ?? {}
    return {
      id: this.id,
      ...(userId !== undefined && { user_id: userId }),
      ...(deviceId !== undefined && { device_id: deviceId }),
      opened_at: this.openedAtMs,
      remote_address: this.remoteAddress,
      bytes_in: this.#bytesIn,
      bytes_out: this.#bytesOut,
      queued_bytes: this.queuedBytes,
      subscriptions: [...(this.#handler?.subscriptions?.() ?? [])],
    }
  }

  // The outbox's sink.

  get bufferedBytes(): number {
    return this.#unfetchedBytes + (rawSocketOf(this.#engine)?.writableLength ?? 0)
  }

  get writable(): boolean {
    if (!this.open || this.#engine.readyState !== 'open') return false
    const raw = rawSocketOf(this.#engine)
    return raw ? !raw.writableNeedDrain : this.#unfetchedBytes === 0
  }

  write(frames: Uint8Array): void {
    if (this.#engine.readyState !== 'open') return
    this.#bytesOut += frames.length
    const raw = hasEmptyWriteBuffer(this.#engine) ? rawSocketOf(this.#engine) : undefined
    if (raw) return void raw.write(frames)
    this.#unfetchedBytes += frames.length
    for (const packet of packetsOf(frames, this.#engine.protocol === 3)) this.#engine.write(packet)
  }

  onceDrained(callback: () => void): void {
    const raw = rawSocketOf(this.#engine)
    if (raw) raw.once('drain', callback)
    else this.#engine.once('flush', () => queueMicrotask(callback))
  }

  slowConsumer(): void {
    this.close(this.#context.gateway.closeCodes.slowConsumer)
  }

  // What Engine.IO tells.

  packetReceived(bytes: number): void {
    this.#bytesIn += bytes
    this.#context.gateway.frameReceived(bytes)
    if (this.bufferedBytes > this.#context.gateway.limits.outboxBytesMax) return this.outbox.overflow()
    this.#take()
  }

  flushed(): void {
    this.#unfetchedBytes = 0
  }

  /** WebSocket's own pings are answered by the library, and count as packets. */
  watchPings(): void {
    webSocketOf(this.#engine)?.on('ping', () => this.packetReceived(0))
  }

  socketClosed(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.outbox.close()
    const { gateway } = this.#context
    gateway.wheel.clear(this.#deadline)
    const silent = reason === 'ping timeout' ? gateway.closeCodes.idle.code : 1000
    gateway.ended(this, this.#closeCode ?? silent)
    this.#handler?.closed()
  }

  #event(name: unknown, args: readonly unknown[]): void {
    if (!this.open) return
    this.#guard(() => {
      const { frameBytesMax } = this.#context.gateway.limits
      if (name === MALFORMED) throw new ProtocolError('malformed', 'not a valid packet')
      if (name === TOO_LARGE)
        throw new ProtocolError('packet_too_large', `a packet may have ${frameBytesMax} bytes`)
      this.#handler?.event(name, args)
    })
  }

  /** Nothing a client sends may raise an unhandled error. */
  #guard(handle: () => void): void {
    try {
      handle()
    } catch (error) {
      if (error instanceof ProtocolError) return this.refuse(error)
      this.#context.gateway.handlerFailed(error)
      this.close({ code: 1011, reason: 'internal error' })
    }
  }

  /** Every packet and every polling request counts. */
  #take(): boolean {
    const { clock, limits } = this.#context.gateway
    if (this.#rate.take(limits, clock.monotonic())) return true
    this.refuse(new ProtocolError('rate_limited', `at most ${limits.framesPerSecondMax} packets a second`))
    return false
  }

  #violation(): void {
    const { clock, limits, closeCodes } = this.#context.gateway
    this.#violations ??= new ViolationCounter()
    if (this.#violations.add(limits, clock.monotonic())) this.close(closeCodes.violations)
  }
}

/** A batch is one buffer for all its receivers: those who poll share its packets too. */
const unpacked = new WeakMap<Uint8Array, readonly string[]>()
const unpackedAscii = new WeakMap<Uint8Array, readonly string[]>()

function packetsOf(frames: Uint8Array, ascii: boolean): readonly string[] {
  const known = ascii ? unpackedAscii : unpacked
  let packets = known.get(frames)
  if (packets === undefined) {
    packets = ascii ? socketIoPackets(frames).map(asciiPacket) : socketIoPackets(frames)
    known.set(frames, packets)
  }
  return packets
}

function onPacket(this: EngineSocket, packet: { readonly data?: string | Buffer }): void {
  const { data } = packet
  const bytes = data === undefined ? 0 : typeof data === 'string' ? Buffer.byteLength(data) : data.length
  connectionOf(this)?.packetReceived(bytes)
}

function onFlush(this: EngineSocket): void {
  connectionOf(this)?.flushed()
}

function onUpgrade(this: EngineSocket): void {
  connectionOf(this)?.watchPings()
}

function onClose(this: EngineSocket, reason: string): void {
  connectionOf(this)?.socketClosed(reason)
}
