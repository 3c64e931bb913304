/** Where an outbox writes: the little of a socket that fan-out needs to know. */
export interface Sink {
  /** Bytes that were written and that the kernel has not taken yet. */
  readonly bufferedBytes: number
  /** False from the write that filled the socket's buffer until it has emptied, and once it is closed. */
  readonly writable: boolean
  write(bytes: Uint8Array): void
  /** Calls back once, when the buffer has emptied. */
  onceDrained(callback: () => void): void
  /** The client does not read what it is sent and shall be closed. */
  slowConsumer(): void
}
