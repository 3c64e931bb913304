import type { ProtocolError } from '@carillon/codec'
import type { DirectWriter } from '../direct-writer.ts'
import type { Gateway } from '../gateway.ts'
import type { Connection } from './connection.ts'

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
export interface ConnectionContext {
  readonly gateway: Gateway<Connection>
  /** Silence after which a connection is closed, in milliseconds; 0 for never. Read at every use. */
  readonly idleTimeoutMs: () => number
  /** Silence after which a client is sent a ping, in milliseconds; 0 for never. */
  readonly pingIntervalMs: number
  /** An error in the protocol's own form, as a prepared frame. */
  readonly errorFrame: (error: ProtocolError) => Uint8Array
  /** Writes to sockets that it fits past their streams; without it everything goes through them. */
  readonly directWriter: DirectWriter | undefined
}
