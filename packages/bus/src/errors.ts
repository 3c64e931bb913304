/** Thrown where something cannot be sent because there is no connection; nothing is queued meanwhile. */
export class BusUnavailable extends Error {
  constructor(options?: ErrorOptions) {
    super('NATS is not connected', options)
  }
}

/** Thrown by a request that nobody serves: at once, not after a time. */
export class NoResponders extends Error {
  constructor(subject: string) {
    super(`nobody serves ${subject}`)
  }
}

/** Thrown by a request that is not answered in time: it may have been acted upon, or not. */
export class RequestTimeout extends Error {
  constructor(subject: string, timeoutMs: number) {
    super(`no answer from ${subject} within ${timeoutMs} ms`)
  }
}

/** Thrown where a payload is larger than the server takes; nothing was sent. */
export class PayloadTooLarge extends RangeError {
  constructor(subject: string, bytes: number, bytesMax: number) {
    super(`${subject}: ${bytes} bytes, and the server takes ${bytesMax}`)
  }
}

/**
 * Thrown where a compare-and-set lost: somebody else has written, created or deleted the key (or published to the
 * stream) since the revision was read. Read again and decide anew.
 */
export class RevisionMismatch extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`${what} was changed by somebody else`, options)
  }
}

/** What went wrong, for a log. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
