import { signDevice } from '@carillon/auth'
import { Bus } from '@carillon/bus'
import { campus } from '@carillon/events'
import type { Overrides } from '@carillon/service'
import { eventually, type NatsServer, testEnvironment } from '@carillon/testkit'
import { create, readConfig } from '../src/server.ts'
import { type ClientSocket, type ClientVersion, clientOf, type TransportName, transports } from './clients.ts'

export type CampusService = ReturnType<typeof create>

/** Boots the real service on free ports. */
export async function bootCampus(
  nats: NatsServer,
  environment: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<CampusService> {
  const service = create(readConfig({ ...testEnvironment('CAMPUS', nats), ...environment }), overrides)
  await service.start()
  if (nats.running) await eventually(() => service.bus.connected)
  return service
}

/** An internal service: NATS and nothing else. */
export async function connectInternal(nats: NatsServer): Promise<Bus> {
  const bus = new Bus({ url: nats.url, name: 'internal service' })
  bus.start()
  await eventually(() => bus.connected)
  return bus
}

export const PATH = '/socket/socket.io'

export function urlOf(service: CampusService): string {
  return `http://127.0.0.1:${service.transport.port}`
}

export async function registerDevice(internal: Bus, serialNo: string, more: object = {}): Promise<void> {
  const reply = await internal.request(
    campus.device_put,
    {},
    { serial_no: serialNo, device_key: `key of ${serialNo}`, ...more },
  )
  if (reply.error_code !== 0) throw new Error(reply.error_reason)
}

export const signatureOf = (serialNo: string) => signDevice({ serialNo, deviceKey: `key of ${serialNo}` })

export interface Received {
  readonly event: string
  readonly body: unknown
}

export interface DeviceOptions {
  readonly version?: ClientVersion
  readonly transport?: TransportName
  /** What it answers; undefined for no answer at all. */
  readonly answer?: (event: string, body: unknown) => unknown
  readonly reconnection?: boolean
  readonly query?: Record<string, string>
}

/** A device with the real client of some version: it keeps what it receives and answers as told. */
export class TestDevice {
  readonly socket: ClientSocket
  readonly received: Received[] = []
  /** Everything that is not for a device: answers, rooms, closes. */
  readonly said: Received[] = []
  disconnects: string[] = []
  readonly serialNo: string | undefined

  constructor(url: string, serialNo: string | undefined, options: DeviceOptions = {}) {
    const { version = '4.x', transport = 'websocket', answer = () => ({ ack: true }) } = options
    this.serialNo = serialNo
    this.socket = clientOf(version)(url, {
      path: PATH,
      transports: [...transports[transport]],
      forceNew: true,
      reconnection: options.reconnection ?? false,
      reconnectionDelay: 20,
      reconnectionDelayMax: 100,
    })
    this.socket.on('connect', () => {
      if (serialNo !== undefined) this.socket.emit('authentication', { signature: signatureOf(serialNo) })
    })
    this.socket.on('disconnect', (reason: string) => this.disconnects.push(reason))
    for (const event of deviceEvents) {
      this.socket.on(event, (body: unknown, callback: (answer: unknown) => void) => {
        this.received.push({ event, body })
        const given = answer(event, body)
        if (given !== undefined) callback(given)
      })
    }
    for (const event of otherEvents)
      this.socket.on(event, (body?: unknown) => void this.said.push({ event, body }))
  }

  /** Connected and authenticated. */
  static async connect(
    service: CampusService,
    serialNo: string,
    options?: DeviceOptions,
  ): Promise<TestDevice> {
    const device = new TestDevice(urlOf(service), serialNo, options)
    await device.says('auth:ok')
    return device
  }

  /** A client that does not authenticate. */
  static async anonymous(service: CampusService, options?: DeviceOptions): Promise<TestDevice> {
    const client = new TestDevice(urlOf(service), undefined, options)
    await eventually(() => client.socket.connected)
    return client
  }

  /** What the server said of this kind, when it has said it. */
  async says(event: string): Promise<unknown> {
    return eventually(() => this.said.find((each) => each.event === event) ?? false).then(({ body }) => body)
  }

  async gets(event: string): Promise<unknown> {
    return eventually(() => this.received.find((each) => each.event === event) ?? false).then(
      ({ body }) => body,
    )
  }

  get events(): string[] {
    return this.received.map(({ event }) => event)
  }

  async join(room: string, more: object = {}): Promise<string> {
    return this.#answered('join_room', { room, ...more })
  }

  async leave(room: string): Promise<string> {
    return this.#answered('leave_room', { room })
  }

  async #answered(request: string, body: object): Promise<string> {
    const before = this.said.length
    this.socket.emit(request, body)
    return eventually(
      () => this.said.slice(before).find(({ event }) => event.startsWith(`${request}:`))?.event ?? false,
    )
  }

  close(): void {
    this.socket.disconnect()
  }
}

const deviceEvents = [
  ...['media_notifications', 'text_notifications', 'media_stop', 'text_stop', 'unbind_class', 'bind_class'],
  ...['unbind_school', 'bind_school', 'update_power_schedule', 'restart_device', 'device_status'],
  ...['upgrade_watcher', 'memos_unread', 'purge_face_data', 'face_data_count', 'app_log_upload'],
  ...['system_log_upload', 'enable_remote_cmd', 'disable_remote_cmd', 'class:update'],
]
const otherEvents = [
  ...['auth:ok', 'auth:fail', 'join_room:ok', 'join_room:fail', 'leave_room:ok', 'leave_room:fail'],
  ...['cmd_result:fail', 'protocol:fail', 'connection:close'],
  ...['memos_update', 'memos_read', 'remote_cmd', 'cmd_result'],
]
