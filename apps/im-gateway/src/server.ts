import { setTimeout as sleep } from 'node:timers/promises'
import { createTokenVerifier } from '@carillon/auth'
import { binaryFrame, im as proto, readNotices, readPush } from '@carillon/codec'
import { im } from '@carillon/events'
import { addWebSocketGateway, createTopics, type Handler } from '@carillon/gateway'
import { Deadline, type Overrides, Service } from '@carillon/service'
import { authenticateBy } from './authenticate.ts'
import { CatchUp } from './catch-up.ts'
import { Client } from './client.ts'
import type { ImConfig } from './config.ts'
import { Conversations } from './conversations.ts'
import { DeviceClaims } from './device-claims.ts'
import { memberChange } from './membership.ts'
import { decimal, MessageService } from './message-service.ts'
import { describeTo } from './metrics.ts'
import { Notices } from './notices.ts'
import { servePresence } from './presence.ts'
import { CONNECTED, closeCodes, errorFrame } from './protocol.ts'
import { Requests } from './requests.ts'
import { SessionEvents } from './session-events.ts'
import { type User, Users } from './users.ts'

export { type ImConfig, readConfig } from './config.ts'

const PATHS = ['/ws', '/']
const OPENING_RETRY_MS = 500

/** Holds IM clients' connections; what they say and are told is the message service's business. */
export function create(config: ImConfig, overrides: Overrides = {}) {
  const service = new Service({ name: 'im-gateway', config, overrides, secrets: [config.auth.secret] })
  const { bus, clock, instanceId, log, metrics, wheel } = service
  const limits = config.im
  const messages = new MessageService(bus)
  const rejected = metrics.counter('im_rejected_pushes_total', 'Pushes that no client would understand')
  const replaced = metrics.counter('im_replaced_total', 'Connections replaced by a newer one of their device')
  const answered = metrics.counter('im_requests_total', "Clients' requests by event and response code", [
    'event',
    'code',
  ])
  const duration = metrics.histogram(
    'im_request_seconds',
    "From a client's request to its answer",
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12],
  )

  // NATS → topic → sockets: one subscription for each user and conversation, one frame for all connections.
  const topics = createTopics(service, 'disconnect')
  const push = (topic: string, bytes: Uint8Array, publishedAtMs: number | undefined) => {
    const body = readPush(bytes)
    if (body === undefined) rejected.inc()
    else topics.publish(topic, binaryFrame(bytes), { publishedAtMs })
  }
  const conversations = new Conversations(bus, ({ topic, bytes, publishedAtMs }) =>
    push(topic, bytes, publishedAtMs),
  )
  const users = new Users({
    bus,
    topics,
    conversations,
    messages,
    limits,
    push(user, bytes, publishedAtMs) {
      const body = readPush(bytes)
      if (body?.event !== proto.PushEvent.PushNoticeDataList) {
        return push(users.topicOf(user.id), bytes, publishedAtMs)
      }
      const notices = readNotices(body.data)
      if (notices === undefined) return rejected.inc()
      for (const client of user.clients) notifier.step(client, { type: 'pushed', notices })
    },
  })
  const notifier = new Notices({
    messages,
    clock,
    wheel,
    log,
    limits: {
      noticesInFlightMax: limits.noticesInFlightMax,
      noticeRedeliveryMs: config.noticeRedeliveryMs,
    },
  })
  const catchUp = new CatchUp({ bus, topics, conversations, users, messages, limits, log })
  const claims = new DeviceClaims(bus, instanceId, clock)
  const sessionEvents = new SessionEvents(bus, instanceId, clock)
  servePresence(bus, instanceId, users)

  bus.subscribe(im.members, {}, ({ bytes }) => {
    let change: proto.rpc.MembersChanged
    try {
      change = proto.rpc.MembersChanged.decode(bytes)
    } catch {
      return rejected.inc()
    }
    const here = (ids: readonly string[]) => ids.flatMap((id) => users.get(id) ?? [])
    const added = here(change.added).filter((user) => users.changed(user, memberChange(change, true)))
    for (const user of here(change.removed)) users.changed(user, memberChange(change, false))
    if (added.length > 0) void catchUp.newcomers(change.convId, decimal(change.maxSeq), added)
  })
  let wasConnected = false
  bus.onChange((connected) => {
    if (!connected) return catchUp.lost()
    if (!wasConnected) {
      wasConnected = true
      return
    }
    // At once: a notice that comes now must not overtake one that was missed, whose place its ack would take.
    for (const user of users) for (const client of user.clients) notifier.step(client, { type: 'connected' })
    void claims.repeat()
    void catchUp.afterReconnect()
  })

  // Sockets → requests → message service.
  const requests = new Requests({
    bus,
    messages,
    limits,
    log,
    customTimeoutMs: config.customTimeoutMs,
    acknowledged: (client, ack) => notifier.step(client, { type: 'acked', ...ack }),
    answered(event, code, durationMs) {
      answered.inc({ event, code })
      duration.observe(durationMs / 1_000)
    },
  })
  const listener = addWebSocketGateway(service, config, {
    closeCodes,
    errorFrame,
    idleTimeoutMs: () => config.idleTimeoutMs,
    pingIntervalMs: config.pingIntervalMs,
  })
  const verify = createTokenVerifier({ ...config.auth, now: () => clock.now() })
  listener.acceptThenAuthenticate(PATHS, authenticateBy(verify), (connection, identity): Handler => {
    const client = new Client(connection, identity)
    const user = users.enter(client)
    claims.open(client)
    void open(user, client)
    return {
      // The document's clients send none that mean anything.
      text() {},
      binary: (frame) => requests.receive(user, client, frame),
      closed(code) {
        const wasOnline = client.phase === 'online'
        claims.release(client)
        notifier.ended(client)
        users.leave(user, client)
        if (client.isReplaced) replaced.inc()
        // The device of a replaced connection stays online.
        else if (wasOnline) sessionEvents.offline(identity, code)
      },
      subscriptions: () => [users.topicOf(user.id), ...[...user.memberships].map(conversations.topicOf)],
    }
  })

  /** Says `connected` when everything that is published from then on is pushed, and gives up after a while. */
  async function open(user: User, client: Client): Promise<void> {
    const { connection, identity } = client
    const deadline = new Deadline({ due: () => connection.close(closeCodes.unavailable) })
    wheel.set(deadline, limits.openingMs)
    while (client.phase === 'opening' && connection.isOpen) {
      try {
        if (!user.loaded || user.loading) await users.load(user)
        break
      } catch (error) {
        log.debug({ reason: error instanceof Error ? error.message : String(error) }, 'a user waits')
        await sleep(OPENING_RETRY_MS * (1 + Math.random()), undefined, { ref: false })
      }
    }
    wheel.clear(deadline)
    if (client.phase !== 'opening' || !connection.isOpen) return
    if (!claims.claim(client)) return
    connection.send(CONNECTED)
    users.goOnline(user, client)
    sessionEvents.online(identity)
    notifier.step(client, { type: 'connected' })
  }

  describeTo(metrics, { users, conversations, requests, notices: notifier, catchUp, sessionEvents })
  service.add({
    stop() {
      catchUp.stop()
      conversations.stop()
    },
  })
  return Object.assign(service, { listener, users })
}
