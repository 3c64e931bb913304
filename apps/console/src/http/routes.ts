import type { Bus } from '@carillon/bus'
import { CLOSE_REASON_BYTES_MAX, gatewayServices, Id, SERIAL_NO_PATTERN } from '@carillon/events'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Act, Actor, AuditLog } from '../acts/audit-log.ts'
import { disconnect } from '../acts/disconnecting.ts'
import { channels, prepare, send } from '../acts/publishing.ts'
import { withoutSecrets } from '../acts/secret-fields.ts'
import type { SettingsBoard } from '../acts/settings.ts'
import { tryIt } from '../acts/try-it.ts'
import type { TryItSecrets } from '../config.ts'
import type { Fleet } from '../live/fleet.ts'
import type { LookUps } from '../look-ups.ts'
import { ApiFailure } from './api-failure.ts'
import { sessionOf } from './guard.ts'
import { bodyReader, queryReader } from './parse.ts'

export interface RoutesOptions {
  readonly bus: Bus
  readonly fleet: Fleet
  readonly lookUps: LookUps
  readonly settings: SettingsBoard
  readonly audit: AuditLog
  readonly tryIt: TryItSecrets | undefined
  readonly clock: { now(): number; monotonic(): number }
}

const Name = Type.String({ minLength: 1, maxLength: 1_024 })
const strict = { additionalProperties: false }
const GatewayName = Type.Unsafe<(typeof gatewayServices)[number]>({
  type: 'string',
  enum: [...gatewayServices],
})
const PUBLISH_BYTES_MAX = 524_288
const BODY_BYTES_MAX = 16_384

const readUser = queryReader(Type.Object({ user_id: Name }, strict))
const readRoom = queryReader(Type.Object({ channel_name: Name, next: Type.Optional(Name) }, strict))
const readDevice = queryReader(
  Type.Object({ serial_no: Type.String({ pattern: SERIAL_NO_PATTERN }) }, strict),
)
const readConversation = queryReader(
  Type.Object(
    {
      conv_id: Type.String({ minLength: 1, maxLength: 160 }),
      after: Type.Optional(Type.String({ pattern: '^[a-zA-Z0-9_]{1,64}$' })),
    },
    strict,
  ),
)
const readTopic = queryReader(Type.Object({ service: GatewayName, topic: Name }, strict))
const Digits = Type.String({ pattern: '^[0-9]{1,15}$' })
const readPage = queryReader(
  Type.Object({ before: Type.Optional(Digits), limit: Type.Optional(Digits) }, strict),
)
const readDisconnect = bodyReader(
  Type.Object(
    {
      user_id: Name,
      service: Type.Optional(GatewayName),
      device_id: Type.Optional(Name),
      code: Type.Optional(Type.Integer({ minimum: 3_000, maximum: 4_999 })),
      reason: Type.Optional(Type.String({ maxLength: CLOSE_REASON_BYTES_MAX })),
    },
    strict,
  ),
)
const readSetting = bodyReader(
  Type.Object(
    {
      key: Type.String({ minLength: 1, maxLength: 256 }),
      value: Type.Unknown(),
      revision: Type.Optional(Id),
    },
    strict,
  ),
)
const Texts = Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 1_024 }))
const readPublish = bodyReader(
  Type.Object(
    {
      channel: Type.String({ maxLength: 128 }),
      params: Texts,
      payload: Type.Unknown(),
      headers: Type.Optional(Texts),
    },
    strict,
  ),
)
const readTry = bodyReader(
  Type.Object(
    {
      service: Type.Unsafe<'auction' | 'quote' | 'voice' | 'im' | 'campus'>({
        type: 'string',
        enum: ['auction', 'quote', 'voice', 'im', 'campus'],
      }),
      user_id: Type.String({ pattern: '^[\\w.-]{1,64}$' }),
    },
    strict,
  ),
)

const viewer = { config: { role: 'viewer' } } as const
const operator = { config: { role: 'operator' }, bodyLimit: BODY_BYTES_MAX } as const

/** What the page asks for, and what operators do. Who may is said by each route, and held by the guard. */
export function addRoutes(http: FastifyInstance, options: RoutesOptions): void {
  const { bus, fleet, lookUps, settings, audit, clock } = options
  const during = <T>(
    request: FastifyRequest,
    act: Act,
    work: () => Promise<T>,
    outcome: (done: T) => string,
  ) => audit.during(actorOf(request), act, work, outcome)

  http.get('/api/connections', viewer, async (request) => lookUps.connections(readUser(request).user_id))
  http.get('/api/rooms', viewer, async (request) => {
    const { channel_name, next } = readRoom(request)
    return lookUps.room(channel_name, next)
  })
  http.get('/api/devices', viewer, async (request) => lookUps.device(readDevice(request).serial_no))
  http.get('/api/conversations', viewer, async (request) => {
    const { conv_id, after } = readConversation(request)
    return lookUps.conversation(conv_id, after)
  })
  http.get('/api/followers', viewer, async (request) => {
    const { service, topic } = readTopic(request)
    return lookUps.followers(service, topic)
  })
  http.get('/api/settings', viewer, async () => settings.read())
  http.get('/api/channels', viewer, async () => channels)
  http.get('/api/audit', operator, async (request) => {
    const { before, limit } = readPage(request)
    return audit.page(
      before === undefined ? undefined : Number(before),
      limit === undefined ? undefined : Number(limit),
    )
  })

  http.post('/api/disconnect', operator, async (request) => {
    const wanted = readDisconnect(request)
    if (Buffer.byteLength(wanted.reason ?? '') > CLOSE_REASON_BYTES_MAX)
      throw new ApiFailure('bad_request', `the reason may have ${CLOSE_REASON_BYTES_MAX} bytes`)
    const act: Act = { act: 'disconnect', target: wanted }
    return during(
      request,
      act,
      () => disconnect(bus, wanted),
      ({ closed }) => `${closed} closed`,
    )
  })

  http.put('/api/settings', operator, async (request) => {
    const change = readSetting(request)
    settings.check(change)
    const act: Act = { act: 'setting', target: change }
    return during(
      request,
      act,
      () => settings.change(change),
      ({ revision }) => `revision ${revision}`,
    )
  })

  http.post('/api/publish', { ...operator, bodyLimit: PUBLISH_BYTES_MAX }, async (request) => {
    const prepared = prepare(readPublish(request))
    const { publishable, subject, headers, payload, bytes, digest } = prepared
    const target = {
      channel: publishable.id,
      subject,
      headers,
      payload: withoutSecrets(payload),
      payload_bytes: bytes,
      payload_sha256: digest,
    }
    return during(
      request,
      { act: 'publish', target },
      () => send(bus, prepared),
      ({ sequence, answer }) =>
        sequence !== undefined ? `stored as ${sequence}` : answer !== undefined ? 'answered' : 'sent',
    )
  })

  http.post('/api/try', operator, async (request) => {
    const { tryIt: secrets } = options
    if (secrets === undefined) throw new ApiFailure('not_found', 'no development secret is configured')
    const wanted = readTry(request)
    const context = {
      bus,
      secrets,
      now: () => clock.now(),
      endPointOf: (service: string) => fleet.endPointOf(service, clock.monotonic()),
    }
    return during(
      request,
      { act: 'try', target: wanted },
      () => tryIt(context, wanted),
      () => 'credentials given out',
    )
  })
}

export function actorOf(request: FastifyRequest): Actor {
  const { user, role } = sessionOf(request)
  return { user, role, remoteAddress: request.remoteAddress }
}
