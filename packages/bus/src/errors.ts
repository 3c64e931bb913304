/** Thrown where something cannot be sent because there is no connection; nothing is queued meanwhile. */
export class BusUnavailable extends Error {
  constructor() {
    super('NATS is not connected')
  }
}

/** Thrown by a request that nobody serves. */
export class NoResponders extends Error {
  constructor(subject: string) {
    super(`nobody serves ${subject}`)
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
