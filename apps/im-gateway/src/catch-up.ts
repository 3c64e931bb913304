import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from '@carillon/bus'
import { binaryFrame, encodeMessagePush } from '@carillon/codec'
import type { Topics } from '@carillon/fanout'
import type { Logger } from '@carillon/service'
import type { Conversations } from './conversations.ts'
import type { ImLimits } from './limits.ts'
import type { MessageService } from './message-service.ts'
import type { User, Users } from './users.ts'

export interface CatchUpOptions {
  readonly bus: Bus
  readonly topics: Topics
  readonly conversations: Conversations
  readonly users: Users
  readonly messages: MessageService
  readonly limits: Pick<ImLimits, 'conversationsMax'>
  readonly log: Logger
}

const BATCH = 100
const RETRY_MS = 1_000
const NEWCOMER_TRIES = 5

interface Position {
  readonly convId: string
  readonly seq: bigint
}

/** Core NATS keeps nothing: what may have been missed is asked for. Clients tell doubles by serverMsgId. */
export class CatchUp {
  /** Messages pushed this way. */
  pushed = 0
  readonly #options: CatchUpOptions
  /** Up to where conversations were pushed without a gap, when NATS was lost: until they are caught up. */
  readonly #behind = new Map<string, bigint>()
  /** Who became a member of one of these after it was left behind: what was sent before is not theirs. */
  readonly #joined = new Map<string, Set<User>>()
  #generation = 0

  constructor(options: CatchUpOptions) {
    this.#options = options
  }

  /** Users were added to a conversation: messages may have been published before the subscription stood. */
  async newcomers(convId: string, maxSeq: bigint, users: readonly User[]): Promise<void> {
    const { bus, log } = this.#options
    if (this.#behind.has(convId))
      this.#joined.set(convId, new Set([...(this.#joined.get(convId) ?? []), ...users]))
    let position: Position | undefined = { convId, seq: maxSeq }
    for (let tries = 0; position !== undefined && tries < NEWCOMER_TRIES; ) {
      try {
        await bus.roundTrip()
        ;[position] = await this.#page([position], (_, frame) => {
          for (const user of users) sendTo(user, convId, frame)
        })
      } catch (error) {
        tries += 1
        log.warn({ reason: messageOf(error), tries }, 'a new member could not be caught up')
        await sleep(RETRY_MS, undefined, { ref: false })
      }
    }
  }

  /**
   * NATS was lost. What is pushed as soon as it is back may be newer than what was missed: where each conversation
   * stood is kept from now on. What is under way is given up.
   */
  lost(): void {
    this.stop()
    this.#keepPositions()
  }

  /**
   * NATS was away: asks for the conversations of every user again, and for what was stored in them meanwhile.
   * Goes on until it has succeeded or NATS is lost again.
   */
  async afterReconnect(): Promise<void> {
    this.#generation += 1
    const generation = this.#generation
    const { users, conversations } = this.#options
    await Promise.all([...users].map((user) => this.#retrying(generation, () => this.#reload(user))))
    if (generation !== this.#generation) return
    // Besides, those that have been followed since: something may have come before their subscriptions stood.
    this.#keepPositions()
    for (const convId of [...this.#behind.keys()]) if (!conversations.has(convId)) this.#done(convId)
    const positions = [...this.#behind].map(([convId, seq]) => ({ convId, seq }))
    for (let first = 0; first < positions.length; first += BATCH) {
      const batch = positions.slice(first, first + BATCH)
      let behind: Position[] = batch
      while (behind.length > 0) {
        const before = behind
        behind = (await this.#retrying(generation, () => this.#everybody(before))) ?? []
      }
      if (generation !== this.#generation) return
      for (const { convId } of batch) this.#done(convId)
    }
  }

  /** One that has not been caught up since it was kept stands where it stood then. */
  #keepPositions(): void {
    for (const { convId, seq } of this.#options.conversations.positions())
      if (!this.#behind.has(convId)) this.#behind.set(convId, seq)
  }

  #done(convId: string): void {
    this.#behind.delete(convId)
    this.#joined.delete(convId)
  }

  #toMembersBut(joined: ReadonlySet<User>, convId: string, frame: Buffer): void {
    for (const user of this.#options.users) if (!joined.has(user)) sendTo(user, convId, frame)
  }

  /** What is under way is given up. */
  stop(): void {
    this.#generation += 1
  }

  async #reload(user: User): Promise<void> {
    const { users, limits } = this.#options
    if (user.clients.size === 0) return
    const wasFull = user.memberships.size >= limits.conversationsMax
    const added = await users.load(user)
    // Of a user with more than can be followed, the next ones take the places of those that were left: these are old.
    if (!wasFull) for (const { convId, minSeq } of added) await this.newcomers(convId, minSeq, [user])
  }

  #everybody(positions: readonly Position[]): Promise<Position[]> {
    const { topics, conversations } = this.#options
    return this.#page(positions, ({ convId, seq }, frame) => {
      const joined = this.#joined.get(convId)
      if (joined === undefined) topics.publish(conversations.topicOf(convId), frame)
      else this.#toMembersBut(joined, convId, frame)
      conversations.pushed(convId, seq)
      this.#behind.set(convId, seq)
    })
  }

  /** Asks once and pushes what comes; answers where to go on. @throws {Error} where there is no good answer. */
  async #page(
    positions: readonly Position[],
    push: (upTo: Position, frame: Buffer) => void,
  ): Promise<Position[]> {
    const answers = await this.#options.messages.catchUp(positions)
    const behind: Position[] = positions.slice(answers.length)
    // No answer for the very first: asking again would bring no other.
    if (answers.length === 0) return []
    for (const { convId, maxSeq, lastSeq, messages } of answers) {
      if (messages.length === 0) continue
      this.pushed += messages.length
      push({ convId, seq: lastSeq }, binaryFrame(encodeMessagePush(messages)))
      if (lastSeq < maxSeq) behind.push({ convId, seq: lastSeq })
    }
    return behind
  }

  async #retrying<T>(generation: number, work: () => Promise<T>): Promise<T | undefined> {
    let complained = false
    while (generation === this.#generation) {
      try {
        return await work()
      } catch (error) {
        if (!complained) this.#options.log.warn({ reason: messageOf(error) }, 'catching up failed, trying on')
        complained = true
        await sleep(RETRY_MS, undefined, { ref: false })
      }
    }
    return undefined
  }
}

function sendTo(user: User, convId: string, frame: Buffer): void {
  if (!user.memberships.has(convId)) return
  for (const { phase, connection } of user.clients) if (phase === 'online') connection.send(frame)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
