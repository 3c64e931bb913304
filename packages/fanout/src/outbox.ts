import type { Batch } from './batch.ts'
import type { Counters } from './counters.ts'
import type { Group } from './group.ts'
import type { Sink } from './sink.ts'

/** What happens to messages for a client that does not keep up. */
export type OverflowPolicy =
  /** Close it as a slow consumer: it must not miss a message unknowingly. */
  | 'disconnect'
  /** Throw away what does not fit: the next message says as much. */
  | 'drop'
  /** Keep just the newest message of each topic until the client can take more. */
  | 'conflate'

interface Held {
  readonly frame: Uint8Array
  /** When it was held back, by the monotonic clock. */
  readonly atMs: number
}

/** One connection's way out: nothing else writes to its socket. Bounded in bytes. */
export class Outbox {
  readonly #sink: Sink
  readonly #counters: Counters
  readonly #bytesMax: number
  /** The newest message of each topic, while the client is paused or cannot take more. */
  #held: Map<string, Held> | undefined
  #paused = false
  #awaitingDrain = false
  #closed = false
  /** What was flushed and waits for this client's turn. Set by {@link Topics} alone. */
  undelivered: Group | undefined

  /** `bytesMax`: what may wait in the socket before the policy acts. One message may pass it. */
  constructor(sink: Sink, counters: Counters, bytesMax: number) {
    this.#sink = sink
    this.#counters = counters
    this.#bytesMax = bytesMax
  }

  /** Where it writes. */
  get sink(): Sink {
    return this.#sink
  }

  /** Bytes that wait for the client, held messages included. */
  get queuedBytes(): number {
    let bytes = this.#sink.bufferedBytes
    if (this.#held) for (const { frame } of this.#held.values()) bytes += frame.length
    return bytes
  }

  /** Sends one frame to this client alone, such as an answer; past the bound it is a slow consumer. */
  send(frame: Uint8Array): void {
    if (this.undelivered !== undefined) this.settle()
    if (this.#closed) return
    if (!this.#hasRoom(frame.length)) return this.overflow()
    this.#write(frame, 1)
  }

  /** Sends the newest message of a topic as the conflating policy does: now, or held until there is room. */
  sendNewest(key: string, frame: Uint8Array): void {
    if (this.undelivered !== undefined) this.settle()
    if (this.#closed) return
    if (this.#holding) this.#hold(key, frame)
    else this.#write(frame, 1)
  }

  /** Sends a sign of life where the socket can take it now: a queue of them would say nothing. */
  sendIfWritable(frame: Uint8Array): void {
    if (!this.#closed && this.#sink.writable) this.#write(frame, 1)
  }

  /** Hands over what is undelivered to this client, now: what comes after must not overtake it. */
  settle(): void {
    const { undelivered } = this
    if (undelivered === undefined) return
    this.undelivered = undefined
    this.deliver(undelivered.batch, undelivered.policy)
  }

  /** Hands over what a flush has for this client. */
  deliver(batch: Batch, policy: OverflowPolicy): void {
    if (this.#closed) return
    if (policy === 'conflate') {
      if (this.#holding) for (const { key, frame } of batch.entries) this.#hold(key, frame)
      else this.#write(batch.bytes, batch.entries.length)
    } else if (this.#hasRoom(batch.bytes.length)) this.#write(batch.bytes, batch.entries.length)
    else if (policy === 'drop') this.#counters.dropped += batch.entries.length
    else this.overflow()
  }

  /** Holds conflated messages back until {@link resume}. */
  pause(): void {
    this.#paused = true
  }

  /** Sends the newest message of every topic that changed meanwhile, and lives on. */
  resume(): void {
    this.#paused = false
    this.#release()
  }

  /** Forgets the held message of a topic. */
  forget(key: string): void {
    this.#held?.delete(key)
  }

  /** Nothing is sent from now on. */
  close(): void {
    this.#closed = true
    this.#held = undefined
    this.undelivered = undefined
  }

  get #holding(): boolean {
    return this.#paused || this.#held !== undefined || !this.#sink.writable
  }

  /** An empty socket takes a message of any size: a bound below one message must not close everybody. */
  #hasRoom(bytes: number): boolean {
    const waiting = this.#sink.bufferedBytes
    return waiting === 0 || waiting + bytes <= this.#bytesMax
  }

  #hold(key: string, frame: Uint8Array): void {
    this.#held ??= new Map()
    // Deleted first, so that the topics are sent in the order of their latest messages.
    if (this.#held.delete(key)) this.#counters.conflated += 1
    this.#held.set(key, { frame, atMs: performance.now() })
    if (!this.#paused) this.#awaitDrain()
  }

  #awaitDrain(): void {
    if (this.#awaitingDrain || this.#closed) return
    this.#awaitingDrain = true
    this.#sink.onceDrained(() => {
      this.#awaitingDrain = false
      this.#release()
    })
  }

  /** Sends held messages while the socket takes them; what is left waits for the next drain. */
  #release(): void {
    if (this.#held === undefined || this.#paused || this.#closed) return
    for (const [key, { frame, atMs }] of this.#held) {
      if (!this.#sink.writable) return this.#awaitDrain()
      this.#held.delete(key)
      this.#counters.onReleased(performance.now() - atMs)
      this.#write(frame, 1)
    }
    this.#held = undefined
  }

  #write(bytes: Uint8Array, messages: number): void {
    this.#counters.deliveries += messages
    this.#counters.writes += 1
    this.#counters.bytes += bytes.length
    this.#sink.write(bytes)
  }

  /** The client does not keep up: nothing more is sent, and it is closed. */
  overflow(): void {
    this.close()
    this.#counters.slowConsumers += 1
    this.#sink.slowConsumer()
  }
}
