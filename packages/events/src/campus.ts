import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { type CampusEventName, type CampusTarget, campusEvents, campusEventsFor } from './campus-events.ts'
import { defineEvent, defineRequest } from './channel.ts'
import { json, type Payload, type Result } from './payload.ts'
import { Count, Millis, Name, Outcome } from './schemas.ts'
import { type BucketDefinition, DAY_MS, type StreamDefinition } from './storage.ts'

/** A device's serial number, as it is printed on the device. */
export const SERIAL_NO_PATTERN = '^[A-Za-z0-9._-]{1,64}$'
export const SerialNo = Type.String({ pattern: SERIAL_NO_PATTERN })
export const DeviceKey = Type.String({ minLength: 1, maxLength: 256 })

/** How long a durable event waits for its device where neither publisher nor body says so. */
export const CAMPUS_OUTBOX_MAX_AGE_MS = 7 * DAY_MS
/** The header that says until when a durable event is worth sending: milliseconds or an RFC 3339 time. */
export const EXPIRES_AT_HEADER = 'Carillon-Expires-At'
/** The header that says which connection of which instance a room's event comes from, so that it is not sent back. */
export const SENDER_HEADER = 'Carillon-Sender'

/** Durable events: the last one of each device and event, until the device has acknowledged it. */
export const campusOutboxStream: StreamDefinition = {
  name: 'CAMPUS_OUTBOX',
  summary: 'Durable events for devices: the last of each device and event, until it is acknowledged',
  subjects: ['campus.outbox.*.*'],
  messagesPerSubject: 1,
  maxAgeMs: CAMPUS_OUTBOX_MAX_AGE_MS,
  storage: 'file',
}

/** A device as the registry knows it. Its key is stored as a keyed hash. */
export const DeviceRecord = Type.Object(
  {
    serial_no: SerialNo,
    key_hash: Type.String({ minLength: 1 }),
    class_id: Type.Optional(Type.Integer()),
    school_id: Type.Optional(Type.Integer()),
    student_ids: Type.Optional(Type.Array(Type.Integer())),
  },
  { $id: 'CampusDeviceRecord' },
)
export type DeviceRecord = Static<typeof DeviceRecord>

/** Which connection of which instance is a device's live one. */
export const DeviceLease = Type.Object(
  { serial_no: SerialNo, instance_id: Name, connection_id: Name, since: Millis },
  { $id: 'CampusDeviceLease' },
)
export type DeviceLease = Static<typeof DeviceLease>

export const campusDevicesBucket: BucketDefinition<DeviceRecord> = {
  name: 'campus_devices',
  summary: 'Registered devices, by serial number',
  value: json(DeviceRecord),
  storage: 'file',
  maxAgeMs: 0,
}

export const campusLiveBucket: BucketDefinition<DeviceLease> = {
  name: 'campus_live',
  summary: 'The live connection of each device, by serial number',
  value: json(DeviceLease),
  storage: 'file',
  maxAgeMs: 0,
}

export const PushReply = Type.Object(
  {
    status: Type.Union([Type.Literal('acked'), Type.Literal('timeout'), Type.Literal('rejected')]),
    response: Type.Optional(Type.Unknown()),
    error: Type.Optional(Type.String()),
  },
  { $id: 'CampusPushReply' },
)
export type PushReply = Static<typeof PushReply>

export const DevicePut = Type.Object(
  {
    serial_no: SerialNo,
    device_key: DeviceKey,
    class_id: Type.Optional(Type.Integer()),
    school_id: Type.Optional(Type.Integer()),
    /** The students of the class it is bound to: whose rooms it may join without a ticket. */
    student_ids: Type.Optional(Type.Array(Type.Integer(), { maxItems: 1_000 })),
  },
  { $id: 'CampusDevicePut' },
)
export type DevicePut = Static<typeof DevicePut>

export const DeviceQuery = Type.Object({ serial_no: SerialNo }, { $id: 'CampusDeviceQuery' })

export const DeviceState = Type.Object(
  {
    ...Outcome.properties,
    serial_no: Type.Optional(SerialNo),
    registered: Type.Optional(Type.Boolean()),
    online: Type.Optional(Type.Boolean()),
    class_id: Type.Optional(Type.Integer()),
    school_id: Type.Optional(Type.Integer()),
    student_ids: Type.Optional(Type.Array(Type.Integer())),
    instance_id: Type.Optional(Name),
    since: Type.Optional(Millis),
    pending: Type.Optional(
      Type.Array(Type.Object({ event: Name, published_at: Millis, expires_at: Millis })),
    ),
  },
  { $id: 'CampusDeviceState' },
)
export type DeviceState = Static<typeof DeviceState>

export const DeviceAck = Type.Object(
  { serial_no: SerialNo, event: Name, response: Type.Unknown(), latency_ms: Count },
  { $id: 'CampusDeviceAck' },
)
export const DevicePresence = Type.Object(
  { serial_no: SerialNo, online: Type.Boolean(), at: Millis, instance_id: Name },
  { $id: 'CampusDevicePresence' },
)

/** What one instance tells another about a connection that it may hold. */
export const HolderCommand = Type.Object(
  {
    serial_no: SerialNo,
    /** `close` ends the connection before it is answered, `refresh` reads the registry anew, `probe` just asks. */
    action: Type.Union([Type.Literal('close'), Type.Literal('refresh'), Type.Literal('probe')]),
    connection_id: Name,
    reason: Type.Optional(Type.Union([Type.Literal('replaced'), Type.Literal('removed')])),
  },
  { $id: 'CampusHolderCommand' },
)
export const HolderReply = Type.Object(
  { ...Outcome.properties, instance_id: Name, live: Type.Boolean() },
  { $id: 'CampusHolderReply' },
)
export type HolderCommand = Static<typeof HolderCommand>
export type HolderReply = Static<typeof HolderReply>

const FROM_NO_BYTES = {}
const anyObject = json(Type.Object({}))

/** An event's body: a JSON object, or nothing at all, which is the empty object. */
const body: Payload<object> = {
  contentType: anyObject.contentType,
  schema: anyObject.schema,
  decode: (bytes) => (bytes.length === 0 ? { ok: true, value: FROM_NO_BYTES } : anyObject.decode(bytes)),
  check: (value) => anyObject.check(value),
  encode: (value) => anyObject.encode(value),
}

const bodies = new Map(
  Object.entries(campusEvents).map(([name, { body }]) => [name as CampusEventName, Compile(body)]),
)

/** The subject's event must be one for this target, and the body must be that event's. */
function isEventFor(target: CampusTarget) {
  return (params: { readonly event: string }, value: object): Result<object> => {
    const name = params.event as CampusEventName
    const validator = bodies.get(name)
    if (validator === undefined) return { ok: false, reason: `there is no event ${JSON.stringify(name)}` }
    if (campusEvents[name].target !== target)
      return {
        ok: false,
        reason: `${name} is an event for a ${campusEvents[name].target}, not for a ${target}`,
      }
    if (!validator.Check(value)) {
      const error = validator.Errors(value)[0]
      return { ok: false, reason: `${error?.instancePath || 'payload'} ${error?.message}` }
    }
    // A new object: its bytes are written out, because there were none.
    return { ok: true, value: value === FROM_NO_BYTES ? {} : value }
  }
}

const messagesFor = (target: CampusTarget) =>
  Object.fromEntries(
    campusEventsFor(target).map((name) => [
      name,
      { summary: campusEvents[name].summary, schema: campusEvents[name].body },
    ]),
  )

/** The campus domain's channels. */
export const campus = {
  device: defineRequest('campus.device.{serialNo}.{event}', {
    summary: 'Pushes an event to the live device and answers what it answered',
    direction: 'receive',
    payload: body,
    refine: isEventFor('device'),
    messages: messagesFor('device'),
    reply: json(PushReply),
    answers: 'one',
  }),
  outbox: defineEvent('campus.outbox.{serialNo}.{event}', {
    summary: 'Pushes an event to the device now or when it comes, until it has acknowledged it',
    direction: 'receive',
    payload: body,
    refine: isEventFor('device'),
    messages: messagesFor('device'),
    stream: campusOutboxStream,
  }),
  room: defineEvent('campus.room.{room}.{event}', {
    summary: 'An event for everyone in a room; results of remote commands come from a device',
    direction: 'receive',
    payload: body,
    refine: isEventFor('room'),
    messages: messagesFor('room'),
  }),
  device_put: defineRequest('campus.rpc.device_put', {
    summary: 'Registers a device, or replaces what is known of it',
    direction: 'receive',
    payload: json(DevicePut),
    reply: json(Outcome),
    answers: 'one',
  }),
  device_delete: defineRequest('campus.rpc.device_delete', {
    summary: 'Forgets a device and closes its connection',
    direction: 'receive',
    payload: json(DeviceQuery),
    reply: json(Outcome),
    answers: 'one',
  }),
  device_state: defineRequest('campus.rpc.device_state', {
    summary: 'Asks whether a device is registered, whether it is live, and what waits for it',
    direction: 'receive',
    payload: json(DeviceQuery),
    reply: json(DeviceState),
    answers: 'one',
  }),
  holder: defineRequest('campus.instance.{instanceId}', {
    summary: 'Between instances: a device has a newer connection, or its registration has changed',
    direction: 'receive',
    payload: json(HolderCommand),
    reply: json(HolderReply),
    answers: 'one',
  }),
  ack: defineEvent('campus.ack.{serialNo}.{event}', {
    summary: 'A device has answered an event',
    direction: 'send',
    payload: json(DeviceAck),
  }),
  presence: defineEvent('campus.presence.{serialNo}', {
    summary: 'A device has come or gone',
    direction: 'send',
    payload: json(DevicePresence),
  }),
} as const
