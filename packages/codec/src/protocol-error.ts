/** What a client did wrong, in its protocol's own terms. Goes to the client and is never a crash. */
export class ProtocolError<C extends string = string> extends Error {
  readonly code: C
  /** What the client asked for, where it could be made out. */
  readonly request: string | null

  /** Whether it counts towards closing the connection; reaching a limit by proper requests does not. */
  get violation(): boolean {
    return true
  }

  constructor(code: C, message: string, request: string | null = null) {
    super(message)
    this.code = code
    this.request = request
  }
}

/** A proper request for more than a client may have. */
export class LimitError<C extends string = string> extends ProtocolError<C> {
  override get violation(): boolean {
    return false
  }
}
