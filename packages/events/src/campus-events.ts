import { type Static, type TSchema, Type } from 'typebox'
import { Id } from './schemas.ts'

/**
 * Where an event of the campus protocol goes: to one device, which answers it, or to a room, where nobody does.
 */
export type CampusTarget = 'device' | 'room'

/** One event of the campus protocol: what it carries, and what a device answers. */
export interface CampusEventDefinition<B extends TSchema = TSchema, R extends TSchema = TSchema> {
  readonly summary: string
  readonly target: CampusTarget
  readonly body: B
  /** What an answer must look like to count as one; undefined where no answer is expected. */
  readonly response: R | undefined
}

/** The answer to an event that asks for nothing: the message has arrived. */
export const Ack = Type.Object({ ack: Type.Literal(true) }, { $id: 'CampusAck' })
export const DeviceStatusResponse = Type.Object(
  { ack: Type.Literal(true), status: Type.Union([Type.Literal('on'), Type.Literal('sleep')]) },
  { $id: 'CampusDeviceStatusResponse' },
)
export const FaceDataCountResponse = Type.Object(
  { ack: Type.Literal(true), count: Type.Integer({ minimum: 0 }) },
  { $id: 'CampusFaceDataCountResponse' },
)

const device = <B extends TSchema, R extends TSchema = typeof Ack>(
  summary: string,
  body: B,
  response?: R,
): CampusEventDefinition<B, R> => ({ summary, target: 'device', body, response: response ?? (Ack as never) })

const room = <B extends TSchema>(summary: string, body: B): CampusEventDefinition<B, never> => ({
  summary,
  target: 'room',
  body,
  response: undefined,
})

/** A weekday, 0 is Sunday. */
const Weekday = Type.Integer({ minimum: 0, maximum: 6 })
const Text = Type.String()
const Empty = Type.Object({})
const Stop = Type.Object({ stop: Type.Literal(true) })
const Unbind = Type.Object({ unbind: Type.Literal(true) })
const LogBatch = Type.Object({ batch: Text })
const RemoteRoom = Type.Object({ room: Type.String({ minLength: 1 }) })

/** All events of the campus protocol, by their name on the wire. */
export const campusEvents = {
  media_notifications: device(
    'Full-screen notifications replace what is shown',
    Type.Object({
      show_type: Type.Union([Type.Literal('normal'), Type.Literal('high_priority')]),
      ended_at: Text,
      notifications: Type.Array(
        Type.Object({
          type: Type.Union([Type.Literal('image'), Type.Literal('webview')]),
          url: Text,
          /** In seconds. */
          duration: Type.Integer({ minimum: 0 }),
        }),
      ),
    }),
  ),
  text_notifications: device(
    'Scrolling notifications replace what is shown',
    Type.Object({ notifications: Type.Array(Type.Object({ content: Text })), ended_at: Text }),
  ),
  media_stop: device('Full-screen notifications end', Stop),
  text_stop: device('Scrolling notifications end', Stop),
  unbind_class: device('The device is no longer bound to a class', Unbind),
  bind_class: device('The device is bound to a class', Type.Object({ id: Id, name: Type.Optional(Text) })),
  unbind_school: device('The device is no longer bound to a school', Unbind),
  bind_school: device('The device is bound to a school', Type.Object({ id: Id, name: Text })),
  update_power_schedule: device(
    'When the device switches itself off and on',
    Type.Object({
      power_schedule: Type.Array(
        Type.Object({
          shutdown_wday: Weekday,
          startup_wday: Weekday,
          shutdown_at: Text,
          startup_at: Text,
        }),
      ),
    }),
  ),
  restart_device: device('The device restarts', Type.Object({ restart: Type.Literal(true) })),
  device_status: device('Asks whether the screen is on', Empty, DeviceStatusResponse),
  upgrade_watcher: device(
    'The watchdog process is upgraded',
    Type.Object({ upgrade_url: Text, version: Text }),
  ),
  memos_unread: device('There are unread memos for the class', Type.Object({ updated_at: Text })),
  memos_update: room('A new memo', Type.Object({ memo_id: Id })),
  memos_read: room('Memos have been read', Type.Object({ memo_ids: Type.Array(Id) })),
  purge_face_data: device('The face data is deleted', Empty),
  face_data_count: device('Asks how many faces are stored', Empty, FaceDataCountResponse),
  app_log_upload: device('The device uploads the log of its application', LogBatch),
  system_log_upload: device('The device uploads its system log', LogBatch),
  enable_remote_cmd: device('The device joins the room of its remote debugging', RemoteRoom),
  disable_remote_cmd: device('The device leaves the room of its remote debugging', RemoteRoom),
  remote_cmd: room('An encrypted command for the device in the room', Type.Object({ encrypted_cmd: Text })),
  cmd_result: room('What the device in the room answered to a command', Type.Object({ result: Text })),
  // Not in the document's list, but in its example; its body is not described.
  'class:update': device('The data of the class has changed', Empty),
} as const satisfies Readonly<Record<string, CampusEventDefinition>>

export type CampusEventName = keyof typeof campusEvents
export type CampusBody<E extends CampusEventName> = Static<(typeof campusEvents)[E]['body']>

/** The names of the events that go to such a target, in the order of the protocol's page. */
export function campusEventsFor(target: CampusTarget): readonly CampusEventName[] {
  return (Object.keys(campusEvents) as CampusEventName[]).filter(
    (name) => campusEvents[name].target === target,
  )
}

/** Own names alone: `constructor` is no event. */
export function isCampusEvent(name: string): name is CampusEventName {
  return Object.hasOwn(campusEvents, name)
}
