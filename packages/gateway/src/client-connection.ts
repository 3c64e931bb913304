import type { CloseCode } from '@carillon/codec'
import type { ConnectionReport } from '@carillon/events'

/** Who connects, as found out by authentication. */
export interface Identity {
  readonly userId: string
  /** When the credentials end, in milliseconds since the epoch. */
  readonly expiresAtMs?: number
  readonly deviceId?: string
}

/** What the gateway needs to know of a client's connection, whatever its transport. */
export interface ClientConnection {
  /** Undefined until the client has authenticated. */
  readonly identity: Identity | undefined
  readonly remoteAddress: string
  /** Bytes that wait for the client. */
  readonly queuedBytes: number
  /** Closes with a code and a reason of at most 123 bytes; a client that does not answer is cut off. */
  close(code: Pick<CloseCode, 'code' | 'reason'>): void
  /** Cuts the connection off at once. */
  terminate(): void
  /** What operators are told about it. */
  report(): ConnectionReport
}
