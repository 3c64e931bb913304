import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

/*
 * The one place that knows the inside of `ws`. A prepared frame goes to the raw socket as it is: encoding it
 * anew for each client is most of what a fan-out costs. That is sound because
 *  - no extension is ever negotiated, so that a frame's bytes are the same for everybody, and
 *  - without extensions ws writes each frame in the same call, so that its own frames (pong, close) and ours
 *    keep their order on the socket.
 * test/raw-socket.test.ts holds both, and fails when ws changes.
 */
interface Inside {
  readonly _socket: Duplex & Partial<Pick<Socket, 'bytesRead' | 'bytesWritten' | 'setKeepAlive'>>
  readonly _receiver: Receiver
}

/** The part of ws that makes messages of bytes. */
export interface Receiver {
  prependListener(event: 'error', listener: (this: Receiver, error: Error) => void): void
  /** What has come of the current frame, and how many bytes that is. */
  readonly _buffers: Uint8Array[]
  readonly _bufferedBytes: number
  /** What has come of the current message, how many bytes that is, and its opcode: 0 where there is none. */
  readonly _fragments: readonly Uint8Array[]
  readonly _messageLength: number
  readonly _fragmented: number
  /** 0 between two frames. */
  readonly _state: number
}

export type RawSocket = Inside['_socket']

/** @throws {Error} if an extension was negotiated. */
export function rawSocketOf(socket: WebSocket): RawSocket {
  if (socket.extensions !== '') throw new Error('prepared frames need a connection without extensions')
  const raw = (socket as unknown as Inside)._socket
  if (raw === null || typeof raw?.write !== 'function')
    throw new Error('ws has no raw socket where it had one')
  return raw
}

/** The WebSocket of a raw socket, until that is closed, or of a receiver: so that one listener serves all of them. */
export function webSocketOf(part: RawSocket | Receiver): WebSocket | undefined {
  webSocketKey ??= Object.getOwnPropertySymbols(part).find(({ description }) => description === 'websocket')
  return (part as unknown as Record<symbol, WebSocket | undefined>)[webSocketKey as symbol]
}

let webSocketKey: symbol | undefined

/**
 * Calls back when a frame cannot be received at all (too large, not UTF-8, against the RFC), before ws sends
 * its close frame: the last chance to tell the client why.
 */
export function beforeReceiveError(
  socket: WebSocket,
  callback: (this: Receiver, error: Error) => void,
): void {
  ;(socket as unknown as Inside)._receiver.prependListener('error', callback)
}

/** What a buffer costs beside its bytes. */
const BUFFER_OVERHEAD_BYTES = 256

/**
 * Bytes of memory that hold what has come of a message whose rest is still to come; 0 where there is none. Call it
 * after ws has read what came.
 */
export function unfinishedBytesOf(socket: WebSocket): number {
  const { _buffers, _bufferedBytes, _fragments, _messageLength, _fragmented, _state } = (
    socket as unknown as Inside
  )._receiver
  if (_state === 0 && _fragmented === 0 && _bufferedBytes === 0) {
    // It is empty already, but keeps room for sixteen more, which idle connections had better not.
    _buffers.length = 0
    return 0
  }
  const buffers = _buffers.length + _fragments.length + 1
  return _bufferedBytes + _messageLength + buffers * BUFFER_OVERHEAD_BYTES
}
