import { textFrame } from '@carillon/codec'
import {
  unescapeKey,
  type VoiceDelivered,
  voice,
  voiceEventsStream,
  voiceEvictionStream,
  voiceInternal,
  voiceRooms,
  voiceUsers,
  voiceWorkStream,
} from '@carillon/events'
import { addWebSocketGateway, createTopics, type LateResult } from '@carillon/gateway'
import { type Overrides, Service } from '@carillon/service'
import { Answers, digestOf } from './answers.ts'
import { Barrier } from './barrier.ts'
import { Capacity } from './capacity.ts'
import { Clients, type SidIdentity } from './clients.ts'
import type { VoiceConfig } from './config.ts'
import { Connections } from './connections.ts'
import { createSidVerifier } from './credentials.ts'
import { Directory } from './directory.ts'
import { Evictions } from './evictions.ts'
import { StallDetector } from './heartbeat.ts'
import { Leases } from './leases.ts'
import { Peers } from './peers.ts'
import { Presence } from './presence.ts'
import { closeCodes, errorFrame, refusedFrame } from './protocol.ts'
import { Queue } from './queue.ts'
import { Records } from './records.ts'
import { Relays } from './relays.ts'
import { Reports, reportLimits } from './reports.ts'
import { newRoom } from './room.ts'
import { RoomEvents } from './room-events.ts'
import { callOf, roomState, userState } from './state-queries.ts'
import { channelsOf, isHeldBy, newUser } from './user.ts'
import { Work } from './work.ts'

export { readConfig, type VoiceConfig } from './config.ts'

const QUEUE_GROUP = 'voice-room-ws'
const SWEEPS_PER_LEASE = 10
const REFRESH_MS = 4 * 3_600_000
const SETTLE_MS = 5_000

/** Presence in voice rooms, and notices that members relay and confirm. */
export function create(config: VoiceConfig, overrides: Overrides = {}) {
  const service = new Service({ name: 'voice-room-ws', config, overrides, secrets: [config.sidSecrets] })
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
      peers.listen()
    },
  })
  const evicted = metrics.counter(
    'evictions_total',
    'Users taken out of a room or call: closed, heartbeat_timeout, instance_lost',
    ['reason'],
  )
  const evictions = new Evictions({ bus, clock, users, rooms, evicted: (reason) => evicted.inc({ reason }) })
  const failures = metrics.counter(
    'voice_presence_failures_total',
    'Failures of what is due about a user or an instance; each is tried again',
  )
  const presence = new Presence({
    ...{ bus, clock, log, instanceId, leases, users, directory, connections, evictions },
    exitGraceMs: config.exitGraceMs,
    handoverGraceMs: config.handoverGraceMs,
    draining: () => service.draining,
    failed: (count) => failures.inc(count),
    registered(member) {
      const known = directory.get(member.userId)?.record
      if (known && member.lease && isHeldBy(known.session, member.lease, member.id))
        clients.setChannels(member, channelsOf(known))
    },
  })

  // Events → state → relay → answer.
  const relayed = metrics.counter(
    'relays_total',
    'Relays: confirmed, redriven to the next member, unconfirmed',
    ['outcome'],
  )
  const relays: Relays = new Relays({
    ...{ limits: config.relays, clock, wheel },
    inbox: () => leases.own,
    isReachable: (lease) => !leases.isTaken(lease),
    deliver: (lease, deliver) => peers.deliver(lease, deliver),
    upToDate: () => barrier.pass(),
    count: (outcome) => relayed.inc({ outcome }),
  })
  const peers = new Peers({ bus, connections, relays, own: () => leases.own })
  const answers = new Answers<VoiceDelivered>({
    answer: (replyTo, answer) => bus.answer(voice.room, replyTo, answer),
    waitMs: config.relays.timeoutMs * config.relays.attemptsMax + 30_000,
    answeredMs: 500,
    waitingMax: 20_000,
  })
  const turnedAway = metrics.counter(
    'voice_entries_refused_total',
    'Users who were not put into a room or call, since there are too many',
    ['reason'],
  )
  const capacity = new Capacity(directory, config.capacity, (reason) => turnedAway.inc({ reason }))
  const roomEvents = new RoomEvents({
    ...{ clock, users, rooms, directory, capacity },
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

  const topics = createTopics(service, 'disconnect')
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
      const call = callOf((await rooms.read(channel_name)).record)
      return roomState(channel_name, directory.members(channel_name), next, call)
    },
    { queue: QUEUE_GROUP },
  )

  // Frames of clients → session → effects.
  const stall = new StallDetector(clock)
  const pings = metrics.counter('voice_pings_total', 'Heartbeats accepted')
  const reportsDropped = metrics.counter(
    'voice_reports_dropped_total',
    'Reports that NATS was away for too long for, or too many',
  )
  const reports = new Reports({
    ...{ bus, clock, ...reportLimits },
    dropped: (count) => reportsDropped.inc(count),
  })
  const clients = new Clients({
    ...{ config, clock, wheel, stall, connections, directory, presence, peers, reports, topics },
    pinged: () => pings.inc(),
  })

  // A user's record says which connection is the user's, and which channels it hears.
  directory.onChange((userId, _before, after) => {
    const member = connections.ofUser(userId)
    if (member === undefined || member.ended || member.lease === undefined) return
    if (isHeldBy(after?.session ?? null, member.lease, member.id))
      return clients.setChannels(member, after ? channelsOf(after) : [])
    // One that may be the newer of the two comes back, and then is.
    const isOlder = after?.session && !after.session.contested
    member.connection.close(isOlder ? closeCodes.replaced : closeCodes.leaseLost)
  })
  const timers: NodeJS.Timeout[] = []
  let unwatch = () => {}
  service.add({
    start() {
      stall.start()
      peers.listen()
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

  // Sockets.
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
    (connection, identity) => clients.open(connection, identity),
  )

  return Object.assign(service, { listener, directory, leases, relays, reports })
}
