/**
 * What goes wrong on this side of the connection. A server's own error codes, such as `too_many_subscriptions`, come
 * as {@link ClientError.code} too: each protocol's page lists them.
 */
export type ClientErrorCode =
  /** The connection was closed, and is not opened again by itself. */
  | 'closed'
  /** A connection could not be opened; the next attempt follows. */
  | 'connect_failed'
  /** Discovery did not name an endpoint, and there is no fallback. */
  | 'endpoint_unavailable'
  /** The token provider failed. */
  | 'token_unavailable'
  /** Nothing came for too long: the connection is taken for dead. */
  | 'connection_silent'
  /** There is no `WebSocket` in this environment, and none was given. */
  | 'no_web_socket'
  /** What is sent waits in the socket's buffer: the network is slower than the application. */
  | 'send_buffer_full'
  /** There is no open connection to send over. */
  | 'not_connected'
  /** An iterator's queue or that of requests is full. */
  | 'queue_full'
  /** The server's frame is not as its protocol says; it was passed over. */
  | 'malformed_frame'
  /** A request was not answered, over all attempts: it may have been carried out. */
  | 'unanswered'
  /** The application could not handle a notice; it comes again. */
  | 'notice_failed'
  /** The application could not handle an event of a device. */
  | 'handler_failed'
  /** The application could not pass a voice room's notice on. */
  | 'relay_failed'
  /** An argument makes no sense. */
  | 'invalid_argument'
  /** The server refused something without a code of its own. */
  | 'refused'

/** An error with a code to act on; the message is for people. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  /** One of {@link ClientErrorCode}, or one of the server's own. */
  readonly code: string

  constructor(code: ClientErrorCode | (string & {}), message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The text of whatever was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
