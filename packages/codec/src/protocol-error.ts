/** What a client did wrong, in its protocol's own terms. Goes to the client and is never a crash. */
export class ProtocolError<C extends string = string> extends Error {
  readonly code: C
  /** What the client asked for, where it could be made out. */
  readonly request: string | null

  constructor(code: C, message: string, request: string | null = null) {
    super(message)
    this.code = code
    this.request = request
  }
}
