import { Pace } from '../core/pace.ts'

/** An error of the server, as it stands in its frame. */
export interface Refusal {
  readonly code: string
  readonly message: string
}

/** A command and what becomes of its answer. */
export interface Command {
  readonly frame: string
  /** Called once: without an argument at `success`. A heartbeat has none. */
  answered?(refusal?: Refusal): void
}

/** Commands whose answers have not come; well below the 4096 that the server lets wait. */
const UNANSWERED_MAX = 64
/** Below the server's 100 a second over a burst of 200. */
const [PER_SECOND, BURST] = [80, 100]
const RETRY_MS = 1_000

/**
 * Commands are answered in their order, without a name. This sends them no faster than the server takes them, and
 * gives each its answer.
 */
export class CommandQueue {
  readonly #send: (frame: string) => void
  readonly #pace = new Pace(PER_SECOND, BURST)
  #waiting: Command[] = []
  #sent: Command[] = []
  /** Answers that still come for commands which will be sent again. */
  #passedOver = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /** @param send throws where a frame cannot be sent now; it is tried again. */
  constructor(send: (frame: string) => void) {
    this.#send = send
  }

  /**
   * Does a command wait for its answer? The answer to a subscription may have to wait for the server's broker, the
   * answer to a heartbeat alone does not.
   */
  get waits(): boolean {
    return this.#sent.some(({ answered }) => answered !== undefined)
  }

  add(command: Command): void {
    this.#waiting.push(command)
    this.#run()
  }

  /** `success`, or an error that answers a command. */
  answered(refusal?: Refusal): void {
    if (this.#passedOver > 0) return this.#passOver()
    this.#sent.shift()?.answered?.(refusal)
    this.#run()
  }

  /**
   * One frame was not looked at, and that is said out of turn: nobody knows which. When the others have been answered
   * all of them are sent once more, which changes nothing where they had been understood.
   */
  rateLimited(): void {
    if (this.#sent.length === 0) return
    if (this.#passedOver === 0) this.#passedOver = this.#sent.length
    this.#passOver()
  }

  /** The connection has ended: nothing is answered any more. Answers what was asked in vain. */
  clear(): Command[] {
    clearTimeout(this.#timer)
    const commands = [...this.#sent, ...this.#waiting]
    this.#sent = []
    this.#waiting = []
    this.#passedOver = 0
    return commands
  }

  #passOver(): void {
    this.#passedOver -= 1
    if (this.#passedOver > 0) return
    this.#waiting.unshift(...this.#sent)
    this.#sent = []
    this.#runIn(RETRY_MS)
  }

  #run(): void {
    clearTimeout(this.#timer)
    while (this.#waiting.length > 0 && this.#sent.length < UNANSWERED_MAX && this.#passedOver === 0) {
      const delayMs = this.#pace.take(performance.now())
      if (delayMs > 0) return this.#runIn(delayMs)
      const [command] = this.#waiting as [Command]
      try {
        this.#send(command.frame)
      } catch {
        return this.#runIn(RETRY_MS)
      }
      this.#waiting.shift()
      this.#sent.push(command)
    }
  }

  #runIn(delayMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#run(), delayMs)
  }
}
