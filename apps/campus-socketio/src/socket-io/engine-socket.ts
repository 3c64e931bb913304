import type { IncomingMessage } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Server as Engine, Socket as EngineSocket } from 'engine.io'
import type { Socket } from 'socket.io'
import type { WebSocket } from 'ws'

/*
 * The one place that knows the inside of Engine.IO and Socket.IO. A prepared frame goes to the raw socket of a
 * WebSocket as it is: encoding it anew for each client is most of what a fan-out costs. That is sound because
 *  - no extension is ever negotiated, so that a frame's bytes are the same for everybody,
 *  - Engine.IO hands a packet to ws, and ws writes it, in the call that made it, unless it stands in Engine.IO's
 *    write buffer: with an empty buffer, its own packets (pong, open, disconnect) and our frames keep their order.
 * Acknowledgements are registered under ids of our own, because the frames that carry them are ours.
 * test/engine-socket.test.ts holds this, and fails when the libraries change.
 */
interface EngineInside {
  readonly writeBuffer: readonly unknown[]
  readonly transport: {
    readonly name: string
    readonly socket?: WebSocket & { readonly _socket: TcpSocket | null }
    /** Of polling: how long a close waits for the client's next poll. */
    closeTimeout?: number
  }
  request: unknown
}

const inside = (engine: EngineSocket) => engine as unknown as EngineInside

/** The WebSocket that packets travel on, or undefined while the client polls. */
export function webSocketOf(engine: EngineSocket): WebSocket | undefined {
  const { transport } = inside(engine)
  return transport.name === 'websocket' ? transport.socket : undefined
}

/** The raw socket of a WebSocket, or undefined while the client polls or the connection has gone. */
export function rawSocketOf(engine: EngineSocket): TcpSocket | undefined {
  const { transport } = inside(engine)
  return transport.name === 'websocket' ? (transport.socket?._socket ?? undefined) : undefined
}

/** Whether a frame may be written past Engine.IO now without overtaking one of its own packets. */
export function hasEmptyWriteBuffer(engine: EngineSocket): boolean {
  return inside(engine).writeBuffer.length === 0
}

/** Bounds how long the close of a polling client waits for its next poll. */
export function boundPollingClose(engine: EngineSocket, ms: number): void {
  const { transport } = inside(engine)
  if (transport.name === 'polling') transport.closeTimeout = ms
}

/** Lets go of the first HTTP request of a connection, which would stay reachable for as long as it lives. */
export function releaseRequest(engine: EngineSocket): void {
  inside(engine).request = null
}

/**
 * Hands an upgrade to Engine.IO. It listens on the TCP socket for its middleware's sake, for as long as the
 * connection lives, and the request with its headers would stay reachable through that.
 */
export function handleUpgrade(engine: Engine, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const before = new Set(socket.rawListeners('close'))
  engine.handleUpgrade(request as never, socket, head)
  for (const listener of socket.rawListeners('close'))
    if (!before.has(listener)) socket.off('close', listener as () => void)
}

/** The connection of a session id that came with a request. */
export function findEngineSocket(engine: Engine, sessionId: string): EngineSocket | undefined {
  const { clients } = engine as unknown as { readonly clients: Readonly<Record<string, EngineSocket>> }
  return Object.hasOwn(clients, sessionId) ? clients[sessionId] : undefined
}

/** Calls back once, with the arguments of the acknowledgement that comes under this id. */
export function onAcknowledgement(socket: Socket, id: number, callback: (...args: unknown[]) => void): void {
  acknowledgementsOf(socket).set(id, callback)
}

export function forgetAcknowledgement(socket: Socket, id: number): void {
  acknowledgementsOf(socket).delete(id)
}

const acknowledgementsOf = (socket: Socket) =>
  (socket as unknown as { readonly acks: Map<number, (...args: unknown[]) => void> }).acks
