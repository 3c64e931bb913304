import type { PublishOptions } from '@carillon/gateway'
import { Deadline, type TimingWheel } from '@carillon/service'

type Publish = (topic: string, frame: Uint8Array, options?: PublishOptions) => void

/** A topic whose last message was published less than the interval ago. */
interface Paced {
  held: { readonly frame: Uint8Array; readonly options: PublishOptions } | undefined
}

/**
 * Keeps a least time between two messages of one topic, for everybody: what comes sooner is replaced by what
 * comes later, and the newest is published when the time is over. Without an interval it lets everything pass.
 */
export class Pacer {
  intervalMs = 0
  conflated = 0
  readonly #publish: Publish
  readonly #wheel: TimingWheel
  readonly #topics = new Map<string, Paced>()

  constructor(publish: Publish, wheel: TimingWheel) {
    this.#publish = publish
    this.#wheel = wheel
  }

  offer(topic: string, frame: Uint8Array, options: PublishOptions = {}): void {
    const paced = this.#topics.get(topic)
    if (paced !== undefined && options.except === undefined) {
      if (paced.held) this.conflated += 1
      paced.held = { frame, options }
      return
    }
    // Some subscribers have this one already: what is held is older, and must not come after it.
    if (paced?.held) {
      this.conflated += 1
      paced.held = undefined
    }
    this.#publish(topic, frame, options)
    if (paced === undefined && this.intervalMs > 0) this.#pace(topic)
  }

  /** Publishes what is held of a topic at once: whoever joins now is given the newest by other ways. */
  flush(topic: string): void {
    const paced = this.#topics.get(topic)
    if (paced?.held === undefined) return
    const { frame, options } = paced.held
    paced.held = undefined
    this.#publish(topic, frame, options)
  }

  #pace(topic: string): void {
    const paced: Paced = { held: undefined }
    const deadline = new Deadline({
      due: () => {
        if (paced.held === undefined) return void this.#topics.delete(topic)
        this.flush(topic)
        this.#wheel.set(deadline, this.intervalMs)
      },
    })
    this.#topics.set(topic, paced)
    this.#wheel.set(deadline, this.intervalMs)
  }
}
