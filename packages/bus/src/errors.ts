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
