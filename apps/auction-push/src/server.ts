import { createTokenVerifier } from '@carillon/auth'
import { Interest } from '@carillon/bus'
import { auction, auctionSettings, auctionStream } from '@carillon/events'
import {
  addWebSocketGateway,
  authenticateByToken,
  type Connection,
  createTopics,
  type Handler,
} from '@carillon/gateway'
import { type Overrides, Service } from '@carillon/service'
import { type AuctionChannel, eventOf, topicOf } from './auction.ts'
import type { AuctionConfig } from './config.ts'
import { closeCodes, errorFrame, parseCommand, pushFrame, SUCCESS } from './protocol.ts'
import { type Effect, emptySession, leave, step } from './session.ts'

export { type AuctionConfig, readConfig } from './config.ts'

/** Live auction events over WebSocket. */
export function create(config: AuctionConfig, overrides: Overrides = {}) {
  const service = new Service({
    name: 'auction-push',
    config,
    overrides,
  })
  const { bus, clock, metrics, settings } = service

  // NATS → topic → sockets: one subscription for each subject that somebody here follows, one frame for all.
  const topics = createTopics(service, 'disconnect')
  const interest = new Interest<AuctionChannel>({
    bus,
    deliver(channel, { subject, bytes, publishedAtMs }, except) {
      const frame = pushFrame(eventOf(channel), bytes)
      if (except) topics.publishExcept(subject, frame, except)
      else topics.publish(subject, frame, publishedAtMs)
    },
  })
  service.add(interest)
  bus.keepStream(auctionStream)
  metrics.gaugeOf('followed_subjects', 'NATS subjects that connections here follow', () => interest.size)

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
  listener.accept(['/ws/:token', '/ws', '/ws/'], authenticate, (connection): Handler => {
    let session = emptySession
    return {
      text(frame) {
        const [next, effects] = step(session, parseCommand(frame), config)
        session = next
        for (const effect of effects) perform(effect, connection)
      },
      closed() {
        for (const effect of leave(session)) perform(effect, connection)
        session = emptySession
      },
      subscriptions: () => session.subscriptions.map(topicOf),
    }
  })

  function perform(effect: Effect, connection: Connection): void {
    switch (effect.type) {
      case 'subscribe': {
        const { event, auctionId } = effect.subscription
        topics.subscribe(topicOf(effect.subscription), connection.outbox)
        return void interest.hold(auction[event], { auctionId })
      }
      case 'unsubscribe': {
        const topic = topicOf(effect.subscription)
        topics.unsubscribe(topic, connection.outbox)
        return interest.release(topic)
      }
      case 'reply':
        return connection.send(SUCCESS)
      case 'recover': {
        const { event } = effect.subscription
        const topic = topicOf(effect.subscription)
        void interest.lastBeforeLive(topic, connection.outbox).then((bytes) => {
          // The client may have cancelled meanwhile.
          if (bytes && topics.has(topic, connection.outbox)) connection.send(pushFrame(event, bytes))
        })
        return
      }
      default:
        effect satisfies never
    }
  }

  return Object.assign(service, { listener })
}
