/** Why a connection is closed, and what the client should do about it. */
export interface CloseCode {
  readonly code: number
  readonly reason: string
  /** Should the client connect again? */
  readonly reconnect: boolean
}

/** The close codes that a gateway itself uses; each protocol's page has its own table. */
export interface GatewayCloseCodes {
  /** The credentials' time is over. */
  readonly expired: CloseCode
  /** Nothing came from the client for too long. */
  readonly idle: CloseCode
  /** The client does not read what it is sent. */
  readonly slowConsumer: CloseCode
  /** Too many frames in error within the window. */
  readonly violations: CloseCode
  /** The instance is going away. */
  readonly draining: CloseCode
  /** Closed by an operator or an internal service. */
  readonly disconnected: CloseCode
}

/** The codes of the protocols whose documents name none. */
export const gatewayCloseCodes = {
  expired: { code: 4401, reason: 'token expired', reconnect: true },
  idle: { code: 4408, reason: 'idle timeout', reconnect: true },
  slowConsumer: { code: 1013, reason: 'slow consumer', reconnect: true },
  violations: { code: 4429, reason: 'too many errors', reconnect: false },
  draining: { code: 1012, reason: 'service restart', reconnect: true },
  disconnected: { code: 4403, reason: 'disconnected', reconnect: false },
} as const satisfies GatewayCloseCodes
