import type { Bus, Subscription } from '@carillon/bus'
import { im } from '@carillon/events'
import type { Topics } from '@carillon/fanout'
import pLimit from 'p-limit'
import type { Client } from './client.ts'
import type { Conversations } from './conversations.ts'
import type { ImLimits } from './limits.ts'
import { type MemberChange, type MembershipEffect, Memberships } from './membership.ts'
import type { Membership, MessageService } from './message-service.ts'
import { type RequestBudget, UserBudgets } from './request-budget.ts'

/** A user with a connection here: what all of that user's connections share. */
export interface User {
  readonly id: string
  readonly clients: Set<Client>
  readonly memberships: Memberships
  readonly requests: RequestBudget
  readonly subscription: Subscription
  /** The conversations have been asked for and are followed. */
  loaded: boolean
  loading: Promise<readonly Membership[]> | undefined
}

export interface UsersOptions {
  readonly bus: Bus
  readonly topics: Topics
  readonly conversations: Conversations
  readonly messages: MessageService
  readonly limits: ImLimits
  /** A push for all connections of a user. */
  readonly push: (user: User, bytes: Uint8Array, publishedAtMs: number | undefined) => void
}

const LOADS_PARALLEL = 64

/** The users with a connection here, and the conversations that are followed for them. */
export class Users {
  readonly #options: UsersOptions
  readonly #users = new Map<string, User>()
  /** Requests under way outlive connections: who reconnects does not begin anew. */
  readonly #budgets = new UserBudgets()
  /** Many clients come back at once after a restart: the message service shall not be asked by all in one instant. */
  readonly #limit = pLimit(LOADS_PARALLEL)

  constructor(options: UsersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#users.size
  }

  [Symbol.iterator](): IterableIterator<User> {
    return this.#users.values()
  }

  get(userId: string): User | undefined {
    return this.#users.get(userId)
  }

  /** Whether a user has a connection that is pushed to. */
  isOnline(userId: string): boolean {
    for (const { phase } of this.#users.get(userId)?.clients ?? []) if (phase === 'online') return true
    return false
  }

  /** The topic of a user is the subject of what is pushed to all of that user's connections. */
  topicOf(userId: string): string {
    return im.pushUser.subject({ userId })
  }

  /** A connection of this user is opening. */
  enter(client: Client): User {
    const { userId } = client.identity
    const user = this.#users.get(userId) ?? this.#create(userId)
    user.clients.add(client)
    return user
  }

  /**
   * Finds out which conversations a user is a member of, and follows them: when it resolves, NATS has these
   * subscriptions. Answers those that were not followed before.
   * @throws {Error} where the message service or NATS gives no answer
   */
  load(user: User): Promise<readonly Membership[]> {
    user.loading ??= this.#load(user).finally(() => {
      user.loading = undefined
    })
    return user.loading
  }

  /** Pushes from now on what comes for the user and for the user's conversations. */
  goOnline(user: User, client: Client): void {
    const { topics, conversations } = this.#options
    const { outbox } = client.connection
    client.phase = 'online'
    topics.subscribe(this.topicOf(user.id), outbox)
    for (const convId of user.memberships) topics.subscribe(conversations.topicOf(convId), outbox)
  }

  /** A connection has ended; with the last one, what was followed for the user is let go. */
  leave(user: User, client: Client): void {
    const { topics, conversations } = this.#options
    const { outbox } = client.connection
    if (client.phase === 'online') {
      topics.unsubscribe(this.topicOf(user.id), outbox)
      for (const convId of user.memberships) topics.unsubscribe(conversations.topicOf(convId), outbox)
    }
    client.phase = 'ended'
    user.clients.delete(client)
    if (user.clients.size > 0) return
    this.#users.delete(user.id)
    user.subscription.unsubscribe()
    this.#budgets.left(user.id)
    this.#apply(user, user.memberships.clear())
  }

  /** A user was added to a conversation or removed; answers whether something has changed by that. */
  changed(user: User, change: MemberChange): boolean {
    const effects = user.memberships.changed(change)
    this.#apply(user, effects)
    return effects.length > 0
  }

  #create(id: string): User {
    const user: User = {
      id,
      clients: new Set(),
      memberships: new Memberships(this.#options.limits.conversationsMax),
      requests: this.#budgets.of(id),
      subscription: this.#options.bus.subscribe(im.pushUser, { userId: id }, ({ bytes, publishedAtMs }) =>
        this.#options.push(user, bytes, publishedAtMs),
      ),
      loaded: false,
      loading: undefined,
    }
    this.#users.set(id, user)
    return user
  }

  #load(user: User): Promise<readonly Membership[]> {
    const { bus, messages, conversations, limits } = this.#options
    return this.#limit(async () => {
      if (!this.#isPresent(user)) return []
      // Who is followed already stays so: only newcomers are sent elsewhere.
      if (!user.loaded && conversations.size >= limits.followedConversationsMax)
        throw new Error(`${limits.followedConversationsMax} conversations are followed, which is the limit`)
      user.memberships.asking()
      const memberships = await messages.conversations(user.id, limits.conversationsMax)
      if (!this.#isPresent(user)) return []
      const before = new Set(user.memberships)
      this.#apply(user, user.memberships.listed(memberships))
      await bus.roundTrip()
      user.loaded = true
      return memberships.filter(({ convId }) => !before.has(convId) && user.memberships.has(convId))
    })
  }

  /** The user may have left, and may have come back as another object. */
  #isPresent(user: User): boolean {
    return this.#users.get(user.id) === user
  }

  #apply(user: User, effects: readonly MembershipEffect[]): void {
    const { topics, conversations } = this.#options
    for (const effect of effects) {
      const topic = conversations.topicOf(effect.convId)
      if (effect.type === 'follow') conversations.follow(effect.convId, effect.maxSeq)
      else conversations.leave(effect.convId)
      for (const { phase, connection } of user.clients) {
        if (phase !== 'online') continue
        if (effect.type === 'follow') topics.subscribe(topic, connection.outbox)
        else topics.unsubscribe(topic, connection.outbox)
      }
    }
  }
}
