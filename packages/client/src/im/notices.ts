import type { Notice } from './im.ts'

/** Notices that were handled, so that a second delivery is only acknowledged. */
const HANDLED_MAX = 1_000
/** The server has 20 of a device in flight, and not many channels. */
const WAITING_MAX = 1_000

/**
 * Notices are handled one after the other in each channel, and acknowledged afterwards: an acknowledgement stands for
 * the older ones of its channel too. Where one fails, those behind it wait until it has been delivered again.
 */
export class Notices {
  readonly #handle: (notice: Notice) => void | Promise<void>
  readonly #acknowledge: (notice: Notice) => Promise<unknown>
  readonly #failed: (error: unknown) => void
  readonly #channels = new Map<string, { queue: Notice[]; failedId: string | undefined; busy: boolean }>()
  readonly #handled = new Set<string>()
  #waiting = 0

  constructor(
    handle: (notice: Notice) => void | Promise<void>,
    acknowledge: (notice: Notice) => Promise<unknown>,
    failed: (error: unknown) => void,
  ) {
    this.#handle = handle
    this.#acknowledge = acknowledge
    this.#failed = failed
  }

  add(notice: Notice): void {
    const channel = this.#channels.get(notice.convId) ?? { queue: [], failedId: undefined, busy: false }
    const known = channel.queue.some(({ noticeId }) => noticeId === notice.noticeId)
    const behind = channel.failedId !== undefined && channel.failedId !== notice.noticeId
    // It is delivered again: the server has not been told that it arrived.
    if (known || behind) return
    if (this.#waiting >= WAITING_MAX) {
      // Those behind it must not be acknowledged before it.
      channel.failedId = notice.noticeId
      this.#channels.set(notice.convId, channel)
      return
    }
    channel.failedId = undefined
    channel.queue.push(notice)
    this.#waiting += 1
    this.#channels.set(notice.convId, channel)
    if (!channel.busy) void this.#run(notice.convId, channel)
  }

  /** A new connection is sent everything that was not acknowledged, the oldest first. */
  connected(): void {
    for (const channel of this.#channels.values()) channel.failedId = undefined
  }

  async #run(convId: string, channel: { queue: Notice[]; failedId: string | undefined; busy: boolean }) {
    channel.busy = true
    while (channel.queue[0] !== undefined) {
      const [notice] = channel.queue as [Notice]
      try {
        if (!this.#handled.has(notice.noticeId)) await this.#handle(notice)
        this.#remember(notice.noticeId)
        if (!notice.options?.onlinePushOnce) await this.#acknowledge(notice)
        channel.queue.shift()
        this.#waiting -= 1
      } catch (error) {
        this.#failed(error)
        // That one does not come again.
        if (notice.options?.onlinePushOnce) {
          channel.queue.shift()
          this.#waiting -= 1
          continue
        }
        channel.failedId = notice.noticeId
        this.#waiting -= channel.queue.length
        channel.queue = []
      }
    }
    channel.busy = false
    if (channel.failedId === undefined) this.#channels.delete(convId)
  }

  #remember(noticeId: string): void {
    this.#handled.add(noticeId)
    if (this.#handled.size > HANDLED_MAX) this.#handled.delete(this.#handled.values().next().value as string)
  }
}
