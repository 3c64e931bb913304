import { createTokenVerifier } from '@carillon/auth'
import { Interest } from '@carillon/bus'
import { quote, quoteSettings, quoteStream } from '@carillon/events'
import {
  addWebSocketGateway,
  authenticateByToken,
  type Connection,
  createTopics,
  type Handler,
  SubscriptionQuota,
} from '@carillon/gateway'
import { Deadline, type Overrides, Service } from '@carillon/service'
import type { QuoteConfig } from './config.ts'
import { tokenOf, userOf } from './credentials.ts'
import { kindOf, type Market, type MarketChannel } from './market.ts'
import { Pacer } from './pacer.ts'
import { ALIVE, closeCodes, errorFrame, parseCommand, quoteFrame } from './protocol.ts'
import { type Effect, expire, leave, Session, type SessionLimits, step } from './session.ts'

export { type QuoteConfig, readConfig } from './config.ts'

const PATH = '/quote/do-not-look-back'

/** Market quotes that the client asks for, always the newest. */
export function create(config: QuoteConfig, overrides: Overrides = {}) {
  const service = new Service({
    name: 'quote-interact',
    config,
    overrides,
    secrets: [config.auth.secret],
  })
  const { bus, clock, metrics, settings, wheel } = service

  // NATS → pace → topic → sockets: one subscription for each market that somebody here follows.
  const topics = createTopics(service, 'conflate')
  const pacer = new Pacer((topic, frame, options) => topics.publish(topic, frame, options), wheel)
  const interest = new Interest<MarketChannel>({
    bus,
    deliver(channel, { subject, bytes, publishedAtMs }, except) {
      pacer.offer(subject, quoteFrame(kindOf(channel), bytes), { publishedAtMs, except })
    },
  })
  service.add(interest)
  bus.keepStream(quoteStream)
  settings.follow(quoteSettings.minIntervalMs, 0, (value) => {
    pacer.intervalMs = value
  })

  // Sockets → session → effects.
  const listener = addWebSocketGateway(service, config, {
    closeCodes,
    errorFrame,
    // Clients only listen: their silence means nothing.
    idleTimeoutMs: () => 0,
  })
  const staleness = metrics.histogram(
    'quote_staleness_seconds',
    'Age of a quote that was held back for a slow or stopped client, when it was sent',
    [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
  )
  listener.counters.onReleased = (ageMs) => staleness.observe(ageMs / 1_000)
  const quota = new SubscriptionQuota({
    metrics,
    perUserMax: config.subscriptionsPerUserMax,
    subjectsMax: config.followedSubjectsMax,
    subjects: () => interest.size,
    isFollowed: (subject) => topics.hasSubscribers(subject),
  })
  metrics.countOf(
    'paced_total',
    'Quotes replaced by a newer one within the least interval',
    () => pacer.conflated,
  )

  const verify = createTokenVerifier({ ...config.auth, now: () => clock.now() })
  const paths = [...new Set([PATH, config.pathPrefix + PATH])]
  listener.accept(paths, authenticateByToken(verify, tokenOf, userOf), (connection): Handler => {
    const session = new Session()
    const limits: SessionLimits = {
      ...config.session,
      refusal: (topic) => quota.refusal(connection.share, topic),
    }
    const performAll = (effects: readonly Effect[]) => {
      for (const effect of effects) perform(effect, connection)
    }
    const lease = new Deadline({
      due() {
        performAll(expire(session, clock.monotonic()))
        armLease()
      },
    })
    const armLease = () => {
      const next = session.nextExpiryMs
      if (next !== undefined) wheel.set(lease, next - clock.monotonic())
    }
    const alive = new Deadline({
      due() {
        connection.outbox.sendIfWritable(ALIVE)
        wheel.set(alive, config.aliveIntervalMs)
      },
    })
    wheel.set(alive, config.aliveIntervalMs)
    return {
      text(frame) {
        performAll(step(session, parseCommand(frame), clock.monotonic(), limits))
        // A renewed lease only ends later: the deadline that is set finds out by itself.
        if (!lease.linked) armLease()
      },
      closed() {
        wheel.clear(alive)
        wheel.clear(lease)
        performAll(leave(session))
      },
      subscriptions: () => session.topics,
    }
  })

  function perform(effect: Effect, { outbox, share }: Connection): void {
    switch (effect.type) {
      case 'subscribe': {
        const { kind, eventId, marketId, topic } = effect.market
        // What the pacer holds goes to those who follow already; the newcomer gets it as its snapshot.
        pacer.flush(topic)
        topics.subscribe(topic, outbox)
        quota.subscribed(share)
        return void interest.hold(quote[kind], { eventId, marketId })
      }
      case 'unsubscribe': {
        topics.unsubscribe(effect.topic, outbox)
        outbox.forget(effect.topic)
        quota.unsubscribed(share)
        return interest.release(effect.topic)
      }
      case 'snapshot':
        return void sendSnapshot(effect.market, outbox)
      case 'pause':
        return outbox.pause()
      case 'resume':
        return outbox.resume()
      default:
        effect satisfies never
    }
  }

  async function sendSnapshot({ kind, topic }: Market, outbox: Connection['outbox']): Promise<void> {
    const bytes = await interest.lastBeforeLive(topic, outbox)
    // The client may have let go of the market meanwhile.
    if (bytes === undefined || !topics.has(topic, outbox)) return
    // What is on its way is older, or this very quote: it must not come after it.
    pacer.flush(topic)
    topics.flush()
    outbox.sendNewest(topic, quoteFrame(kind, bytes))
  }

  return Object.assign(service, { listener })
}
