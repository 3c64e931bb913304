import { createTokenVerifier } from '@carillon/auth'
import { Interest } from '@carillon/bus'
import { auction, auctionSettings, auctionStream } from '@carillon/events'
import {
  addWebSocketGateway,
  authenticateByToken,
  type Connection,
  createTopics,
  type Handler,
  SubscriptionQuota,
} from '@carillon/gateway'
import { type Overrides, Service } from '@carillon/service'
import { type AuctionChannel, eventOf, topicOf } from './auction.ts'
import type { AuctionConfig } from './config.ts'
import { closeCodes, errorFrame, parseCommand, pushFrame, SUCCESS, type Subscription } from './protocol.ts'
import { type Effect, leave, Session, type SessionLimits, step } from './session.ts'

export { type AuctionConfig, readConfig } from './config.ts'

/** Live auction events over WebSocket. */
export function create(config: AuctionConfig, overrides: Overrides = {}) {
  const service = new Service({
    name: 'auction-push',
    config,
    overrides,
    secrets: [config.auth.secret],
  })
  const { bus, clock, metrics, settings } = service

  // NATS → topic → sockets: one subscription for each subject that somebody here follows, one frame for all.
  const topics = createTopics(service, 'disconnect')
  const interest = new Interest<AuctionChannel>({
    bus,
    deliver(channel, { subject, bytes, publishedAtMs }, except) {
      topics.publish(subject, pushFrame(eventOf(channel), bytes), { publishedAtMs, except })
    },
  })
  service.add(interest)
  bus.keepStream(auctionStream)
  const quota = new SubscriptionQuota({
    metrics,
    perUserMax: config.subscriptionsPerUserMax,
    subjectsMax: config.followedSubjectsMax,
    subjects: () => interest.size,
    isFollowed: (subject) => topics.hasSubscribers(subject),
  })

  // Sockets → session → effects.
  let { idleTimeoutMs } = config
  const listener = addWebSocketGateway(service, config, {
    closeCodes,
    errorFrame,
    idleTimeoutMs: () => idleTimeoutMs,
  })
  settings.follow(auctionSettings.idleTimeoutMs, config.idleTimeoutMs, (value) => {
    idleTimeoutMs = value
    for (const connection of listener.connections) connection.rearm()
  })

  const verify = createTokenVerifier({ ...config.auth, now: () => clock.now() })
  const authenticate = authenticateByToken(verify, (request) => (request.params as { token?: string }).token)
  listener.accept(['/ws/:token', '/ws', '/ws/'], authenticate, (connection) => new Client(connection))

  /** A class, because closures for each connection weigh more than what they hold. */
  class Client implements Handler {
    readonly #connection: Connection
    readonly #session = new Session()

    constructor(connection: Connection) {
      this.#connection = connection
    }

    text(frame: string): void {
      const limits: SessionLimits = {
        subscriptionsMax: config.subscriptionsMax,
        refusal: (topic) => quota.refusal(this.#connection.share, topic),
      }
      this.#perform(step(this.#session, parseCommand(frame), limits))
    }

    closed(): void {
      this.#perform(leave(this.#session))
    }

    subscriptions(): string[] {
      return [...this.#session.subscriptions()].map(topicOf)
    }

    #perform(effects: readonly Effect[]): void {
      for (const effect of effects) perform(effect, this.#connection)
    }
  }

  function perform(effect: Effect, connection: Connection): void {
    switch (effect.type) {
      case 'subscribe': {
        const { event, auctionId } = effect.subscription
        quota.subscribed(connection.share)
        // The first follower waits for NATS to confirm the subscription: from then on nothing is missed.
        const confirmed = interest.hold(auction[event], { auctionId })
        const topic = topicOf(effect.subscription)
        return connection.inOrder(() => topics.subscribe(topic, connection.outbox), confirmed)
      }
      case 'unsubscribe': {
        const topic = topicOf(effect.subscription)
        quota.unsubscribed(connection.share)
        interest.release(topic)
        return connection.inOrder(() => topics.unsubscribe(topic, connection.outbox))
      }
      case 'reply':
        return connection.inOrder(() => connection.send(SUCCESS))
      case 'recover':
        return connection.inOrder(() => void recover(effect.subscription, connection))
      default:
        effect satisfies never
    }
  }

  async function recover(subscription: Subscription, connection: Connection): Promise<void> {
    const topic = topicOf(subscription)
    const bytes = await interest.lastBeforeLive(topic, connection.outbox)
    // The client may have cancelled meanwhile.
    if (bytes && topics.has(topic, connection.outbox)) connection.send(pushFrame(subscription.event, bytes))
  }

  return Object.assign(service, { listener })
}
