/** One published message: a prepared frame and the topic it belongs to. */
export interface Entry {
  readonly frame: Uint8Array
  /** What conflation replaces it by: the topic's name. */
  readonly key: string
  /** Publish order over all topics. */
  readonly order: number
}

/** The messages of one tick that a set of subscribers gets, in publish order, as one buffer for all of them. */
export class Batch {
  readonly entries: readonly Entry[]
  #bytes: Uint8Array | undefined

  constructor(entries: readonly Entry[]) {
    this.entries = entries
  }

  get bytes(): Uint8Array {
    this.#bytes ??= concatenate(this.entries)
    return this.#bytes
  }
}

function concatenate(entries: readonly Entry[]): Uint8Array {
  const [only] = entries
  if (entries.length === 1 && only) return only.frame
  let length = 0
  for (const { frame } of entries) length += frame.length
  const bytes = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (const { frame } of entries) {
    bytes.set(frame, at)
    at += frame.length
  }
  return bytes
}
