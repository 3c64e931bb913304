/** How many requests may be under way, and how many bytes of them. */
export interface RequestLimit {
  readonly count: number
  readonly bytes: number
}

/** Limits of this protocol, beside those of every gateway. */
export interface ImLimits {
  readonly requests: {
    readonly connection: RequestLimit
    readonly user: RequestLimit
    readonly total: RequestLimit
  }
  /** A RequestBody's reqId. */
  readonly reqIdBytesMax: number
  /** A CustomRequest's method. */
  readonly methodBytesMax: number
  /** Conversations of one user whose messages are pushed; the others are found by syncing. */
  readonly conversationsMax: number
  /** Different conversations of all users of the instance. */
  readonly followedConversationsMax: number
  /** Notices that a device has not acknowledged and that are sent to it. */
  readonly noticesInFlightMax: number
  /** From the authentication to `connected`. */
  readonly openingMs: number
}

export const imLimits: ImLimits = {
  requests: {
    connection: { count: 32, bytes: 1_048_576 },
    user: { count: 64, bytes: 4_194_304 },
    total: { count: 4_096, bytes: 67_108_864 },
  },
  reqIdBytesMax: 1_024,
  methodBytesMax: 512,
  conversationsMax: 5_000,
  followedConversationsMax: 200_000,
  noticesInFlightMax: 20,
  openingMs: 15_000,
}
