/** Why a connection is closed, and what the client should do about it. */
export interface CloseCode {
  readonly code: number
  readonly reason: string
  /** Should the client connect again? */
  readonly reconnect: boolean
}

/** The close codes that the listener itself uses; each protocol has its own table. */
export interface ListenerCloseCodes {
  /** The credentials' time is over. */
  readonly expired: CloseCode
  /** Nothing came from the client for too long. */
  readonly idle: CloseCode
  /** The client does not read what it is sent. */
  readonly slowConsumer: CloseCode
  /** Too many frames in error within the window. */
  readonly offences: CloseCode
  /** The instance is going away. */
  readonly draining: CloseCode
  /** Closed by an operator or an internal service. */
  readonly disconnected: CloseCode
}
