import type { Sink } from '@carillon/fanout'
import type { WebSocket } from 'ws'
import { DirectWriter } from '../direct-writer.ts'
import { type RawSocket, rawSocketOf } from './raw-socket.ts'

/**
 * A WebSocket as an outbox writes to it: prepared frames, past the stream where the direct writer can. A base class
 * and no member of the connection, because an object more for each idle connection is memory.
 */
export abstract class SocketSink implements Sink {
  protected readonly socket: WebSocket
  protected readonly raw: RawSocket
  readonly #directWriter: DirectWriter | undefined
  /** What the direct writer has sent, which the stream does not count. */
  #directBytes = 0

  constructor(socket: WebSocket, directWriter: DirectWriter | undefined) {
    this.socket = socket
    this.raw = rawSocketOf(socket)
    if (DirectWriter.fits(this.raw)) this.#directWriter = directWriter
  }

  abstract slowConsumer(): void

  protected get bytesIn(): number {
    return this.raw.bytesRead ?? 0
  }

  protected get bytesOut(): number {
    return (this.raw.bytesWritten ?? 0) + this.#directBytes
  }

  get bufferedBytes(): number {
    return this.raw.writableLength
  }

  get writable(): boolean {
    return this.socket.readyState === this.socket.OPEN && !this.raw.writableNeedDrain
  }

  write(bytes: Uint8Array): void {
    if (this.socket.readyState !== this.socket.OPEN) return
    const taken = this.#directWriter === undefined ? 0 : this.#directWriter.write(this.raw, bytes)
    this.#directBytes += taken
    // What the kernel did not take waits in the stream, before everything that comes later.
    if (taken < bytes.length) this.raw.write(taken === 0 ? bytes : bytes.subarray(taken))
  }

  onceDrained(callback: () => void): void {
    this.raw.once('drain', callback)
  }
}
