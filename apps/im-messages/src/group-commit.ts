import { withoutTrace } from '@carillon/tracing'
import type { Database } from './database/database.ts'
import { classify } from './database/failure.ts'
import { tryAgain } from './refusal.ts'
import { commit } from './store/commit.ts'
import type { Committed, Outcome, Send } from './store/commit-plan.ts'

export interface GroupCommitOptions {
  readonly database: Database
  readonly now: () => number
  /** Called after each commit, before its requests are answered. */
  readonly committed: (done: Committed, seconds: number) => void
}

interface Waiting {
  readonly send: Send
  readonly bytes: number
  resolve(outcome: Outcome): void
  reject(error: unknown): void
}

/** One transaction takes no more than this. */
const GROUP_MESSAGES_MAX = 1_000
const GROUP_BYTES_MAX = 4 * 1024 * 1024
/** What may wait; beyond, a request is refused at once and can be sent again. */
const WAITING_MESSAGES_MAX = 50_000
const WAITING_BYTES_MAX = 64 * 1024 * 1024

/**
 * Stores messages in groups: while one transaction runs, requests gather, and the next one takes them all. One at a
 * time, so that what comes in one order is stored in that order.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions
  #waiting: Waiting[] = []
  #waitingMessages = 0
  #waitingBytes = 0
  #running: Promise<void> | undefined

  constructor(options: GroupCommitOptions) {
    this.#options = options
  }

  get waitingMessages(): number {
    return this.#waitingMessages
  }

  /** Answers when the request is committed, or refused. @throws {Refusal} when it could not be done now. */
  submit(send: Send): Promise<Outcome> {
    const bytes = send.messages.reduce((sum, { body }) => sum + body.length, 0)
    if (
      this.#waitingMessages + send.messages.length > WAITING_MESSAGES_MAX ||
      this.#waitingBytes + bytes > WAITING_BYTES_MAX
    ) {
      return Promise.reject(tryAgain('too many messages are waiting to be stored'))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ send, bytes, resolve, reject })
      this.#waitingMessages += send.messages.length
      this.#waitingBytes += bytes
      // One transaction is of many requests, and of no one's trace.
      this.#running ??= withoutTrace(() => this.#run())
    })
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running
  }

  async #run(): Promise<void> {
    // What arrives within one turn of the event loop is stored together.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) await this.#store(this.#nextGroup())
    this.#running = undefined
  }

  #nextGroup(): Waiting[] {
    let messages = 0
    let bytes = 0
    const end = this.#waiting.findIndex((each, i) => {
      messages += each.send.messages.length
      bytes += each.bytes
      return i > 0 && (messages > GROUP_MESSAGES_MAX || bytes > GROUP_BYTES_MAX)
    })
    const group = end < 0 ? this.#waiting : this.#waiting.slice(0, end)
    this.#waiting = end < 0 ? [] : this.#waiting.slice(end)
    for (const each of group) {
      this.#waitingMessages -= each.send.messages.length
      this.#waitingBytes -= each.bytes
    }
    return group
  }

  async #store(group: readonly Waiting[]): Promise<void> {
    const started = performance.now()
    try {
      const { database, now, committed } = this.#options
      const done = await database.transaction((session) =>
        commit(
          session,
          group.map(({ send }) => send),
          now(),
        ),
      )
      committed(done, (performance.now() - started) / 1_000)
      for (const [i, each] of group.entries()) each.resolve(done.outcomes[i] as Outcome)
    } catch (error) {
      // One request that the database cannot digest must not take the others with it.
      if (group.length > 1 && classify(error) === 'defect') {
        for (const each of group) await this.#store([each])
        return
      }
      for (const each of group) each.reject(error)
    }
  }
}
