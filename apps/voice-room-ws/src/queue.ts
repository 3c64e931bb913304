import type { Bus, WorkItem, WorkQueue } from '@carillon/bus'
import type { StreamDefinition } from '@carillon/events'
import type { Clock, Logger } from '@carillon/service'

export interface QueueOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly stream: StreamDefinition
  readonly openMax: number
  readonly work: (item: WorkItem) => Promise<void>
}

/** The durable consumer that all instances share. */
const DURABLE = 'voice-room-ws'
/** An event that its instance does not hold on to for so long goes to another one. */
const HOLD_MS = 8_000
const EXTEND_MS = 2_000
const RETRY_MS = 1_000

/**
 * This instance's share of a stream's events. Each is held until it is done; an instance that dies or stands still
 * for the hold's time loses what it held to another one, and lets go of it when it wakes.
 */
export class Queue {
  readonly #options: QueueOptions
  readonly #queue: WorkQueue
  readonly #open = new Map<string, WorkItem>()
  #extendedAtMs: number
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: QueueOptions) {
    this.#options = options
    this.#extendedAtMs = options.clock.monotonic()
    this.#queue = options.bus.workQueue(options.stream, {
      durable: DURABLE,
      ackWaitMs: HOLD_MS,
      inFlightMax: options.openMax,
      handle: (item) => void this.#take(item),
    })
  }

  start(): void {
    this.#queue.start()
    this.#extendedAtMs = this.#options.clock.monotonic()
    this.#timer = setInterval(() => this.#extend(), EXTEND_MS)
    this.#timer.unref()
  }

  /** Takes no more. */
  pause(): void {
    this.#queue.stop()
  }

  /** Gives back what is not done. */
  stop(): void {
    this.#stopped = true
    this.pause()
    clearInterval(this.#timer)
    for (const item of this.#open.values()) item.release()
    this.#open.clear()
  }

  isOurs(item: WorkItem): boolean {
    return this.#open.has(keyOf(item)) && !this.#stoodStill
  }

  get #stoodStill(): boolean {
    return this.#options.clock.monotonic() - this.#extendedAtMs > HOLD_MS
  }

  async #take(item: WorkItem): Promise<void> {
    const key = keyOf(item)
    const before = this.#open.get(key)
    // The server has let its time pass, after an outage perhaps, but it is in work here: hold on to the new copy.
    this.#open.set(key, item)
    if (before !== undefined) return before.abandon()
    try {
      await this.#options.work(item)
      // Let go of meanwhile, if it is not there: then it is another instance's to finish.
      this.#open.get(key)?.done()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.log.warn(
        { subject: item.subject, reason },
        'an event could not be worked on, trying again',
      )
      const held = this.#open.get(key)
      if (held && !this.#stopped) setTimeout(() => held.release(), RETRY_MS).unref()
    } finally {
      this.#open.delete(key)
    }
  }

  #extend(): void {
    if (this.#stoodStill) {
      for (const item of this.#open.values()) item.abandon()
      this.#open.clear()
    }
    this.#extendedAtMs = this.#options.clock.monotonic()
    for (const item of this.#open.values()) item.extend()
  }
}

function keyOf({ position: { epoch, sequence } }: WorkItem): string {
  return `${epoch}-${sequence}`
}
