import { createTokenVerifier } from '@carillon/auth'
import { type CloseCode, ProtocolError, socketIoEvent } from '@carillon/codec'
import { campus, campusOutboxStream, SENDER_HEADER } from '@carillon/events'
import { addGateway, createTopics } from '@carillon/gateway'
import { type Overrides, Service } from '@carillon/service'
import { AuthenticationLimits } from './authentication-limits.ts'
import { CommandQueue } from './command-queue.ts'
import type { CampusConfig } from './config.ts'
import { DeviceLeases } from './device-leases.ts'
import { DeviceRegistry, deviceOf } from './device-registry.ts'
import { serveDeviceRequests } from './device-requests.ts'
import { DurableStore } from './durable-store.ts'
import { type DeviceContext, LiveDevice } from './live-device.ts'
import { createDeviceMetrics } from './metrics.ts'
import { closeCodes, closeFrame, encodeEvent, errorFrame, parseEvent } from './protocol.ts'
import { Reports } from './reports.ts'
import { type Room, roomsOfTicket } from './room.ts'
import { RoomInterest } from './room-interest.ts'
import { type Effect, emptySession, failedAuthentication, type Outcome, step } from './session.ts'
import type { Handler, SocketIoConnection } from './socket-io/connection.ts'
import { SocketIoTransport } from './socket-io/transport.ts'

export { type CampusConfig, readConfig } from './config.ts'

const PATH = '/socket/socket.io'
/** Commands of one connection that wait for those before them. */
export const COMMANDS_WAITING_MAX = 64
/** How long the end of the process waits for devices to be given up. */
const RELEASE_TIMEOUT_MS = 2_000

/** Pushes to devices that always answer, and rooms for web clients. */
export function create(config: CampusConfig, overrides: Overrides = {}) {
  const service = new Service({
    name: 'campus-socketio',
    config,
    overrides,
    secrets: [config.auth.secret, config.deviceKeySecrets],
  })
  const { bus, clock, instanceId, metrics, wheel } = service

  // NATS → room → sockets: one subscription for each room that somebody here is in.
  const topics = createTopics(service, 'disconnect')
  const rooms = new RoomInterest(bus, ({ params: { room, event }, bytes, publishedAtMs, header }) => {
    const frame = socketIoEvent(event, bytes)
    const sender = senderHere(room, header(SENDER_HEADER))
    topics.publish(room, frame, { publishedAtMs, ...(sender && { except: new Set([sender.outbox]) }) })
  })

  // NATS → the one live connection of a device → its answer → NATS.
  const reports = new Reports(bus, instanceId, () => clock.now())
  const registry = new DeviceRegistry(bus, config.deviceKeySecrets)
  /** By connection, from the claim on. */
  const devices = new Map<string, LiveDevice>()
  /** By serial number: whom pushes go to. */
  const live = new Map<string, LiveDevice>()
  const releases = new Set<Promise<void>>()
  const leases = new DeviceLeases({
    bus,
    instanceId,
    now: () => clock.now(),
    closeHere: (connectionId) => endDevice(connectionId, closeCodes.replaced),
    presence: (serialNo, online) => reports.presence(serialNo, online),
  })
  const deviceMetrics = createDeviceMetrics(metrics, live)
  const store = new DurableStore({
    bus,
    stored: (serialNo, event) => live.get(serialNo)?.stored(event),
    replaced() {
      for (const device of live.values()) device.reset()
    },
    refused: () => deviceMetrics.durable('refused'),
  })
  const context: DeviceContext = {
    bus,
    clock,
    wheel,
    reports,
    limits: config.durable,
    pushesInFlightMax: config.pushesInFlightMax,
    holds: (device) => leases.holds(device.serialNo, device.connection.id),
    load: (serialNo) => store.load(serialNo),
    delete: (sequence) => store.delete(sequence),
    metrics: deviceMetrics,
  }
  bus.keepStream(campusOutboxStream)
  for (const part of [reports, leases, store]) service.add(part)
  service.add({
    async stop() {
      rooms.stop()
      const timeout = new Promise((resolve) => setTimeout(resolve, RELEASE_TIMEOUT_MS).unref())
      await Promise.race([Promise.allSettled(releases), timeout])
    },
  })
  metrics.gaugeOf(
    'followed_subjects',
    'NATS subjects that connections here follow',
    () => rooms.size + live.size,
  )

  serveDeviceRequests({ bus, registry, leases, store })
  bus.serve(campus.holder, { instanceId }, async ({ payload }) => {
    const { connection_id: connectionId, action, reason } = payload
    const device = devices.get(connectionId)
    if (device && action === 'close') await endDevice(connectionId, closeCodes[reason ?? 'replaced'])
    if (device && action === 'refresh') refresh.get(device.connection)?.()
    return {
      error_code: 0,
      error_reason: '',
      instance_id: instanceId,
      live: device !== undefined && action !== 'close',
    }
  })

  // Sockets → session → effects.
  const verifyTicket = createTokenVerifier({ ...config.auth, now: () => clock.now() })
  const attempts = new AuthenticationLimits()
  const refresh = new WeakMap<SocketIoConnection, () => void>()
  const transport = addGateway<SocketIoConnection, SocketIoTransport>(
    service,
    config,
    closeCodes,
    (gateway) => {
      const { host, trustedProxies } = service.config
      const options = { ...config, host, trustedProxies, path: PATH }
      return new SocketIoTransport(gateway, { ...options, errorFrame, closeFrame, closeCodeOf }, open)
    },
  )

  function open(connection: SocketIoConnection): Handler {
    let session = emptySession
    const queue = new CommandQueue(COMMANDS_WAITING_MAX, (error) => {
      transport.gateway.handlerFailed(error)
      connection.close({ code: 1011, reason: 'internal error' })
    })
    const run = async (first: Parameters<typeof step>[1]) => {
      const inputs = [first]
      for (const input of inputs) {
        const [next, effects] = step(session, input, config.session)
        session = next
        for (const effect of effects) {
          const outcome = await perform(effect, connection)
          if (outcome) inputs.push(outcome)
        }
      }
    }
    const enqueue = (input: Parameters<typeof step>[1]) => {
      const accepted = queue.push(async () => {
        if (connection.open) await run(input)
      })
      if (!accepted) throw new ProtocolError('rate_limited', 'too many requests wait for their answers')
    }
    refresh.set(connection, () => {
      queue.append(async () => {
        const record = session.device && (await registry.find(session.device.serialNo))
        if (record) await run({ type: 'device_changed', device: deviceOf(record) })
      })
    })
    return {
      event(name, args) {
        try {
          enqueue(parseEvent(name, args))
        } catch (error) {
          if (!(error instanceof ProtocolError) || error.request !== 'authentication') throw error
          transport.gateway.authenticationFailed('malformed')
          const [next, effects] = failedAuthentication(session, error, config.session)
          session = next
          for (const effect of effects) void perform(effect, connection)
        }
      },
      closed() {
        void endDevice(connection.id)
        // After what is under way: it may still join a room or claim the device.
        queue.append(async () => {
          for (const room of session.rooms) leaveRoom(room, connection)
          await endDevice(connection.id)
          session = emptySession
        })
      },
      subscriptions: () => [...session.rooms],
    }
  }

  async function perform(effect: Effect, connection: SocketIoConnection): Promise<Outcome | undefined> {
    switch (effect.type) {
      case 'verify':
        return verify(effect.credentials, connection)
      case 'claim':
        return claim(effect.device.serialNo, connection)
      case 'check_ticket': {
        const result = await verifyTicket(effect.ticket)
        const valid = result.ok && roomsOfTicket(result.token.claims).has(effect.room.name)
        return { type: 'ticket_checked', room: effect.room, valid }
      }
      case 'subscribe':
        return joinRoom(effect.room, connection)
      case 'unsubscribe':
        return leaveRoom(effect.room, connection)
      case 'emit':
        return connection.send(encodeEvent(effect.event)) as undefined
      case 'refuse':
        return connection.refuse(effect.error) as undefined
      case 'publish_result':
        return publishResult(effect.room, effect.result, connection)
      case 'deliver':
        return live.get(effect.serialNo)?.deliver() as undefined
      case 'close':
        return connection.close(effect.code) as undefined
      default:
        return effect satisfies never
    }
  }

  async function verify(
    credentials: Extract<Effect, { type: 'verify' }>['credentials'],
    { remoteAddress }: SocketIoConnection,
  ): Promise<Outcome> {
    const { serialNo } = credentials
    if (!attempts.allows(remoteAddress, serialNo, clock.monotonic())) {
      transport.gateway.authenticationFailed('too_many_failures')
      return { type: 'not_verified', error: 'too_many_failures' }
    }
    try {
      const device = await registry.verify(credentials)
      if (device) {
        attempts.authenticated(remoteAddress, serialNo)
        return { type: 'verified', device }
      }
      attempts.failed(remoteAddress, serialNo, clock.monotonic())
      transport.gateway.authenticationFailed('bad_signature')
      return { type: 'not_verified', error: 'signature_wrong' }
    } catch {
      return { type: 'unavailable' }
    }
  }

  /** Makes this the device's live connection, on every instance, before anything is pushed over it. */
  async function claim(serialNo: string, connection: SocketIoConnection): Promise<Outcome | undefined> {
    const device = new LiveDevice(serialNo, connection, context)
    // Before the lease is taken: whoever sees it may ask for the end of this connection at once.
    devices.set(connection.id, device)
    try {
      await leases.claim(serialNo, connection.id, () => connection.open)
      if (connection.open) {
        live.set(serialNo, device)
        await device.listen()
      }
    } catch {
      await endDevice(connection.id)
      return { type: 'unavailable' }
    }
    // Closed, or replaced by a newer connection, meanwhile: perhaps before the lease was ours.
    if (!connection.open) {
      await endDevice(connection.id)
      await release(serialNo, connection.id)
      return undefined
    }
    connection.identify({ userId: serialNo, deviceId: serialNo })
    return { type: 'claimed', serialNo }
  }

  /** Ends a device's connection; with a code, closes it too. */
  async function endDevice(connectionId: string, code?: CloseCode): Promise<void> {
    const device = devices.get(connectionId)
    if (device === undefined) return
    const { serialNo, connection } = device
    if (live.get(serialNo) === device) live.delete(serialNo)
    // A replaced connection must not report the device as gone: the newer one takes the lease over.
    if (code === closeCodes.replaced) leases.forget(serialNo, connectionId)
    if (code) connection.close(code)
    await device.end()
    devices.delete(connectionId)
    await release(serialNo, connectionId)
  }

  function release(serialNo: string, connectionId: string): Promise<void> {
    const released = leases.release(serialNo, connectionId).finally(() => releases.delete(released))
    releases.add(released)
    return released
  }

  async function joinRoom(room: Room, connection: SocketIoConnection): Promise<Outcome> {
    if (!rooms.has(room.name) && rooms.size >= config.roomsMax)
      return { type: 'not_subscribed', room, error: 'too_many_rooms' }
    try {
      await rooms.hold(room.name)
    } catch {
      return { type: 'not_subscribed', room, error: 'unavailable' }
    }
    topics.subscribe(room.name, connection.outbox)
    connection.settle()
    return { type: 'subscribed', room }
  }

  function leaveRoom(room: string, { outbox }: SocketIoConnection): undefined {
    topics.unsubscribe(room, outbox)
    rooms.release(room)
  }

  function publishResult(room: string, result: string, connection: SocketIoConnection): undefined {
    try {
      const headers = { [SENDER_HEADER]: `${instanceId}/${connection.id}` }
      bus.publish(campus.room, { room, event: 'cmd_result' }, { result }, { headers })
    } catch {
      connection.refuse(new ProtocolError('unavailable', 'temporarily unavailable', 'cmd_result'))
    }
  }

  /** The connection of this instance that a room's event comes from. */
  function senderHere(room: string, sender: string | undefined): SocketIoConnection | undefined {
    const connection = sender === undefined ? undefined : live.get(room)?.connection
    return connection && sender === `${instanceId}/${connection.id}` ? connection : undefined
  }

  return Object.assign(service, { transport })
}

const closeCodesByNumber = new Map<number, CloseCode>(
  Object.values(closeCodes).map((each) => [each.code, each]),
)

/** An operator may close with a code of their own: then the client stays away. */
function closeCodeOf({ code, reason }: Pick<CloseCode, 'code' | 'reason'>): CloseCode {
  const { reconnect = false } = closeCodesByNumber.get(code) ?? {}
  return { code, reason, reconnect }
}
