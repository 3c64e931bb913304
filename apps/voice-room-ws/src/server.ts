import { randomBytes } from 'node:crypto'
import { ProtocolError, textFrame } from '@carillon/codec'
import {
  unescapeKey,
  type VoiceAction,
  type VoiceDelivered,
  voice,
  voiceEventsStream,
  voiceEvictionStream,
  voiceInternal,
  voiceRooms,
  voiceUsers,
  voiceWorkStream,
} from '@carillon/events'
import {
  addWebSocketGateway,
  type Connection,
  createTopics,
  type Handler,
  type Identity,
  type LateResult,
} from '@carillon/gateway'
import { type Overrides, Service } from '@carillon/service'
import { Answers, digestOf } from './answers.ts'
import { Barrier } from './barrier.ts'
import type { VoiceConfig } from './config.ts'
import { Connections, type Member } from './connections.ts'
import { createSidVerifier } from './credentials.ts'
import { Directory } from './directory.ts'
import { Evictions } from './evictions.ts'
import { Heartbeat, StallDetector } from './heartbeat.ts'
import { Leases } from './leases.ts'
import { reports } from './notice.ts'
import { Presence } from './presence.ts'
import { closeCodes, errorFrame, parseCommand, refusedFrame, tokenFrame } from './protocol.ts'
import { Queue } from './queue.ts'
import { Records } from './records.ts'
import { type AttemptRef, Relays } from './relays.ts'
import { newRoom } from './room.ts'
import { RoomEvents } from './room-events.ts'
import { type Effect, openSession, type Session, step } from './session.ts'
import { roomState, userState } from './state-queries.ts'
import { channelsOf, isHeldBy, newUser } from './user.ts'
import { Work } from './work.ts'

export { readConfig, type VoiceConfig } from './config.ts'

const QUEUE_GROUP = 'voice-room-ws'
const SWEEPS_PER_LEASE = 10
const REFRESH_MS = 4 * 3_600_000
const SETTLE_MS = 5_000

/** A user by a verified sid. Its time is checked at each frame, not by a timer: see PROTOCOL.md. */
interface SidIdentity extends Identity {
  readonly sid: string
  readonly sidExpiresAtMs: number | undefined
}

/** Presence in voice rooms, and notices that members relay and confirm. */
export function create(config: VoiceConfig, overrides: Overrides = {}) {
  const service = new Service({ name: 'voice-room-ws', config, overrides })
  const { bus, clock, log, metrics, wheel, instanceId } = service

  // State: one record for each user and each room, changed by compare-and-set; the directory is a copy of all users.
  const directory = new Directory()
  const userBucket = bus.bucket(voiceUsers)
  const users = new Records({
    bucket: userBucket,
    make: newUser,
    known: (id) => directory.get(id),
    learned: (id, record, revision) => directory.apply(id, record, revision),
  })
  const rooms = new Records({ bucket: bus.bucket(voiceRooms), make: newRoom })
  const barrier = new Barrier(userBucket)
  for (const stream of [voiceEventsStream, voiceEvictionStream, voiceWorkStream]) bus.keepStream(stream)

  // Presence: who holds whom, and what becomes of those whose connection or instance is gone.
  const connections = new Connections()
  const leaseLost = metrics.counter(
    'voice_lease_lost_total',
    'How often this instance was taken for dead while it lived',
  )
  const leases: Leases = new Leases({
    ...{ bus, clock, log, instanceId, leaseMs: config.leaseMs },
    lost() {
      leaseLost.inc()
      for (const { connection } of connections) connection.close(closeCodes.leaseLost)
      listenForPeers()
    },
  })
  const evicted = metrics.counter('evictions_total', 'Users taken out of a room or call', ['reason'])
  const evictions = new Evictions({ bus, clock, users, rooms, evicted: (reason) => evicted.inc({ reason }) })
  const presence = new Presence({
    ...{ bus, clock, log, instanceId, leases, users, directory, connections, evictions },
    exitGraceMs: config.exitGraceMs,
    handoverGraceMs: config.handoverGraceMs,
    draining: () => service.draining,
    registered(member) {
      const known = directory.get(member.userId)?.record
      if (known && member.lease && isHeldBy(known.session, member.lease, member.id))
        setChannels(member, channelsOf(known))
    },
  })

  // Events → state → relay → answer.
  const relayed = metrics.counter(
    'relays_total',
    'Relays: confirmed, redriven to the next member, unconfirmed',
    ['outcome'],
  )
  const relays = new Relays({
    ...{ limits: config.relays, clock, wheel },
    inbox: () => leases.own,
    deliver(lease, deliver) {
      if (lease !== leases.own) return bus.publish(voiceInternal.deliver, { lease }, deliver)
      const ref = { attempt: deliver.attempt, from: deliver.from }
      tell(ref, connections.deliver(deliver) ? 'sent' : 'gone')
    },
    upToDate: () => barrier.pass(),
    count: (outcome) => relayed.inc({ outcome }),
  })
  const answers = new Answers<VoiceDelivered>({
    answer: (replyTo, answer) => bus.answer(voice.room, replyTo, answer),
    waitMs: config.relays.timeoutMs * config.relays.attemptsMax + 30_000,
    answeredMs: 500,
    waitingMax: 20_000,
  })
  const roomEvents = new RoomEvents({
    ...{ clock, users, rooms, directory },
    absentGraceMs: config.heartbeatTimeoutMs,
  })
  const queues = [voiceWorkStream, voiceEvictionStream].map((stream): Queue => {
    const queue: Queue = new Queue({
      ...{ bus, clock, log, stream, openMax: config.relays.openMax },
      work: (item) => work.do(item),
    })
    const work = new Work({
      ...{ bus, clock, users, directory, relays, answers, roomEvents },
      isOurs: (item) => queue.isOurs(item),
      upToDate: () => barrier.pass(),
    })
    return queue
  })

  // What the other instances ask of this one.
  const topics = createTopics(service, 'disconnect')
  let forPeers: readonly { unsubscribe(): void }[] = []
  function listenForPeers(): void {
    const own = { lease: leases.own }
    for (const subscription of forPeers) subscription.unsubscribe()
    forPeers = [
      bus.subscribe(voiceInternal.deliver, own, ({ payload }) =>
        tell(payload, connections.deliver(payload) ? 'sent' : 'gone'),
      ),
      bus.subscribe(voiceInternal.attempt, own, ({ payload }) => relays.outcome(payload)),
    ]
  }
  function tell({ attempt, from }: AttemptRef, kind: 'sent' | 'reported' | 'gone'): void {
    if (from === leases.own) queueMicrotask(() => relays.outcome({ attempt, kind }))
    else if (bus.connected) bus.publish(voiceInternal.attempt, { lease: from }, { attempt, kind })
  }
  bus.subscribe(voiceInternal.broadcast, {}, ({ params: { channelName }, payload }) =>
    topics.publish(channelName, textFrame(payload.frame)),
  )
  for (const channel of [voice.room, voice.user] as const) {
    bus.subscribe<string, unknown>(
      channel as never,
      {},
      (delivery) => answers.expect(digestOf(delivery), delivery.replyTo as string, clock.monotonic()),
      { requestsOnly: true },
    )
  }
  bus.serve(
    voice.user_state,
    {},
    async ({ payload }) => userState((await users.read(String(payload.user_id))).record),
    { queue: QUEUE_GROUP },
  )
  bus.serve(
    voice.room_state,
    {},
    async ({ payload: { channel_name, next } }) => {
      await barrier.pass()
      return roomState(channel_name, directory.members(channel_name), next)
    },
    { queue: QUEUE_GROUP },
  )

  // A user's record says which connection is the user's, and which channels it hears.
  directory.onChange((userId, _before, after) => {
    const member = connections.ofUser(userId)
    if (member === undefined || member.ended || member.lease === undefined) return
    if (isHeldBy(after?.session ?? null, member.lease, member.id))
      return setChannels(member, after ? channelsOf(after) : [])
    member.connection.close(after?.session ? closeCodes.replaced : closeCodes.leaseLost)
  })
  function setChannels(member: Member, channels: readonly string[]): void {
    const { outbox } = member.connection
    for (const channel of member.channels)
      if (!channels.includes(channel)) topics.unsubscribe(channel, outbox)
    for (const channel of channels) if (!member.channels.includes(channel)) topics.subscribe(channel, outbox)
    member.channels = channels
  }

  const stall = new StallDetector(clock)
  const timers: NodeJS.Timeout[] = []
  let unwatch = () => {}
  service.add({
    start() {
      stall.start()
      listenForPeers()
      unwatch = userBucket.watch(
        (change) => {
          const userId = change.key.includes('.') ? undefined : unescapeKey(change.key)
          if (userId !== undefined && !('refused' in change))
            directory.apply(userId, change.value, change.revision)
          barrier.seen(change.revision ?? 0)
        },
        {
          onSynced: () => {
            for (const queue of queues.splice(0)) {
              queue.start()
              started.push(queue)
            }
          },
        },
      )
      leases.start()
      const every = (ms: number, task: () => void) => timers.push(setInterval(task, ms).unref())
      every(config.leaseMs / SWEEPS_PER_LEASE, () => void presence.sweep())
      every(1_000, () => answers.sweep(clock.monotonic()))
      every(REFRESH_MS, () => void presence.refresh())
    },
    async drain() {
      for (const queue of started) queue.pause()
    },
    async stop() {
      for (const timer of timers) clearInterval(timer)
      stall.stop()
      for (const queue of started) queue.stop()
      await presence.settled(SETTLE_MS)
      await leases.stop()
      unwatch()
    },
  })
  const started: Queue[] = []

  // Sockets → session → effects.
  const pings = metrics.counter('voice_pings_total', 'Heartbeats accepted')
  metrics.gaugeOf(
    'voice_users',
    'Users known, connected or in a room, of all instances',
    () => directory.size,
  )
  metrics.gaugeOf('voice_rooms', 'Rooms with members, of all instances', () => directory.rooms)
  metrics.gaugeOf('open_relays', 'Relays under way here', () => relays.open)
  const listener = addWebSocketGateway(service, config, {
    closeCodes,
    errorFrame,
    // The heartbeat is the protocol's own: see below.
    idleTimeoutMs: () => 0,
  })
  const verifySid = createSidVerifier(bus, config.sidSecrets, () => clock.now())
  listener.acceptThenAuthenticate(
    ['/'],
    {
      async authenticate({ query }): Promise<LateResult<SidIdentity>> {
        const { sid } = query as { sid?: unknown }
        const result = await verifySid(typeof sid === 'string' ? sid : undefined)
        if (result.ok) {
          const { userId, expiresAtMs } = result
          return { ok: true, identity: { userId, sid: sid as string, sidExpiresAtMs: expiresAtMs } }
        }
        const { failure } = result
        const close = failure === 'verifier_unavailable' ? closeCodes.unavailable : closeCodes.expired
        return { ok: false, close, failure, frame: refusedFrame(`sid: ${failure.replace('_', ' ')}`) }
      },
      timedOut: closeCodes.unavailable,
      tooMany: closeCodes.violations,
    },
    open,
  )

  function open(connection: Connection, { userId, sid, sidExpiresAtMs }: SidIdentity): Handler {
    const onlineToken = randomBytes(16).toString('hex')
    let session: Session = openSession({ userId, sid, sidExpiresAtMs, onlineToken })
    const { member, replaced } = connections.add(userId, connection)
    const heartbeat = new Heartbeat(wheel, clock, stall, config.heartbeatTimeoutMs, () => {
      member.reason = 'heartbeat_timeout'
      connection.close(closeCodes.idle)
      // A client that is gone does not answer the close frame: its time is over now.
      end()
    })
    const end = () => {
      if (member.ended) return
      member.ended = true
      member.handedOver = connection.closeCode === closeCodes.draining.code
      heartbeat.stop()
      setChannels(member, [])
      for (const attempt of member.deliveries.end()) tell(attempt, 'gone')
      void presence.left(member)
    }
    const sendToken = () => {
      if (!member.ended) connection.send(tokenFrame(onlineToken, config.pingIntervalS))
    }
    // The token promises that the connection is the user's: it follows when that is stored, or cannot be for now.
    void stall
      .caughtUp()
      .then(() => presence.register(member))
      .then(() => {
        // Only now, so that a notice which the older one does not report finds the newer one. Also where it could not
        // be stored: nothing would end the older one later.
        replaced?.connection.close(closeCodes.replaced)
        sendToken()
      })
    return {
      text(frame) {
        const record = directory.get(userId)?.record
        const channels = record === undefined ? [] : channelsOf(record)
        const [next, effects] = step(session, parse(frame), config, { nowMs: clock.now(), channels })
        session = next
        for (const effect of effects) perform(effect, member, heartbeat)
      },
      closed: end,
      subscriptions: () => member.channels,
    }
  }

  function perform(effect: Effect, member: Member, heartbeat: Heartbeat): void {
    switch (effect.type) {
      case 'heartbeat':
        pings.inc()
        return heartbeat.beat()
      case 'report': {
        const { action, userId: user_id, channelName: channel_name, timestampMs: timestamp } = effect
        const attempt = member.deliveries.reported(reports[action] as VoiceAction, user_id)
        if (attempt) tell(attempt, 'reported')
        if (!bus.connected) return
        const report = { action, user_id, reporter_id: member.userId, channel_name, timestamp }
        return bus.publish(voice.report, { action }, report)
      }
      case 'refuse':
        return member.connection.refuse(effect.error)
      case 'close':
        return member.connection.close(closeCodes.refusals)
      default:
        effect satisfies never
    }
  }

  return Object.assign(service, { listener, directory, leases, relays })
}

/** A frame as a command, or what is wrong with it. */
function parse(frame: string) {
  try {
    return parseCommand(frame)
  } catch (error) {
    if (error instanceof ProtocolError) return error
    throw error
  }
}
