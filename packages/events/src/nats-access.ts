import { auction, auctionStream } from './auction.ts'
import { audit, auditStream } from './audit.ts'
import { campus, campusDevicesBucket, campusLiveBucket, campusOutboxStream } from './campus.ts'
import type { EventChannel } from './channel.ts'
import { control } from './control.ts'
import { discovery } from './discovery.ts'
import { im } from './im.ts'
import { imDevice } from './im-device.ts'
import { publishable } from './publishable.ts'
import { quote, quoteStream } from './quote.ts'
import { settingsBucket } from './settings.ts'
import type { BucketDefinition, StreamDefinition } from './storage.ts'
import {
  voice,
  voiceEventsStream,
  voiceEvictionStream,
  voiceInternal,
  voiceLeases,
  voiceRooms,
  voiceUsers,
  voiceWorkStream,
} from './voice/index.ts'

/** What one user of NATS may do; everything else is refused. Subjects may hold wildcards. */
export interface NatsUser {
  readonly name: string
  readonly summary: string
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** Whether it may answer, once each and for a while, the requests it is given. */
  readonly answers: boolean
}

/** Where a user's answers come in. One prefix each, so that nobody reads another one's. */
export function inboxPrefix(user: string): string {
  return `_INBOX_${user}`
}

interface Rights {
  readonly summary: string
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
  readonly answers?: boolean
}

function user(name: string, { summary, publish = [], subscribe = [], answers = false }: Rights): NatsUser {
  return {
    name,
    summary,
    publish: [...new Set(publish)],
    subscribe: [`${inboxPrefix(name)}.>`, ...new Set(subscribe)],
    answers,
  }
}

// A channel of one payload is not assignable to a channel of unknown: its encode takes less.
const all = (channels: object, params: object = {}) =>
  (Object.values(channels) as EventChannel[]).map((each) => each.filter(params))

const api = (request: string) => `$JS.API.${request}`

/** Looks at the stream, which is made by the provisioner: whoever may make one may read every subject. */
const looks = (stream: string) => [api(`STREAM.INFO.${stream}`)]
/** Follows a stream in order by ordinary ephemeral consumers. */
const follows = (stream: string) => [
  ...looks(stream),
  api(`CONSUMER.CREATE.${stream}`),
  api(`CONSUMER.CREATE.${stream}.>`),
  api(`CONSUMER.INFO.${stream}.*`),
  api(`CONSUMER.DELETE.${stream}.*`),
  `$JS.FC.${stream}.>`,
]
/** Reads single messages. */
const reads = (stream: string) => [
  ...looks(stream),
  api(`STREAM.MSG.GET.${stream}`),
  api(`DIRECT.GET.${stream}`),
  api(`DIRECT.GET.${stream}.>`),
]
const deletes = (stream: string) => [api(`STREAM.MSG.DELETE.${stream}`)]
/** Takes messages off the stream by a durable consumer, and settles them. */
const works = (stream: string) => [
  ...looks(stream),
  api(`CONSUMER.DURABLE.CREATE.${stream}.*`),
  api(`CONSUMER.CREATE.${stream}.>`),
  api(`CONSUMER.INFO.${stream}.*`),
  api(`CONSUMER.MSG.NEXT.${stream}.*`),
  `$JS.ACK.${stream}.>`,
]

const streamOf = ({ name }: StreamDefinition) => name
const streamOfBucket = ({ name }: Pick<BucketDefinition<never>, 'name'>) => `KV_${name}`
const writes = ({ name }: Pick<BucketDefinition<never>, 'name'>) => [`$KV.${name}.>`]
/** Gets, puts, updates and deletes keys. */
const readsAndWrites = (bucket: Pick<BucketDefinition<never>, 'name'>) => [
  ...looks(streamOfBucket(bucket)),
  api(`STREAM.MSG.GET.${streamOfBucket(bucket)}`),
  ...writes(bucket),
]

/** Every service follows its live settings. */
const settings = follows(streamOfBucket(settingsBucket))

/** A service with connections of clients: it announces itself, and operators look into it. */
function gateway(name: string, { publish = [], subscribe = [], ...rights }: Rights): NatsUser {
  return user(name, {
    ...rights,
    answers: true,
    publish: [...settings, discovery.announce.filter({ service: name }), ...publish],
    subscribe: [...all(control, { service: name }), ...subscribe],
  })
}

const clientRpc = [im.sendMsgList, im.syncConvSeq, im.syncMsgList, im.ackNotice, im.getMsgById]
const gatewayRpc = [im.conversations, im.pendingNotices, im.catchUp]
const imService = [im.convPut, im.convGet, im.convAddMembers, im.convRemoveMembers, im.msgSend, im.noticeSend]
const voiceWork = [voice.room, voice.user, voice.call_start, voice.call_end]
const voiceStreams = [voiceWorkStream, voiceEvictionStream, voiceEventsStream].map(streamOf)

/** One user for each service; it has the service's name. */
const services: readonly NatsUser[] = [
  gateway('auction-push', {
    summary: 'Reads auction events and their last messages',
    publish: reads(streamOf(auctionStream)),
    subscribe: all(auction),
  }),
  gateway('quote-interact', {
    summary: 'Reads quotes and their last messages',
    publish: reads(streamOf(quoteStream)),
    subscribe: all(quote),
  }),
  gateway('voice-room-ws', {
    summary: 'Takes room events off their queue, keeps the state of rooms and users, and reports',
    publish: [
      ...voiceStreams.flatMap(looks),
      ...[voiceWorkStream, voiceEvictionStream].map(streamOf).flatMap(works),
      ...[voiceUsers, voiceRooms, voiceLeases].flatMap(readsAndWrites),
      ...[voiceUsers, voiceLeases].map(streamOfBucket).flatMap(follows),
      ...all(voiceInternal),
      ...[voice.report, voice.online, voice.offline, voice.evicted, voice.unconfirmed, voice.verify].map(
        (each) => each.filter(),
      ),
    ],
    subscribe: [
      ...[voiceInternal.deliver, voiceInternal.attempt, voiceInternal.broadcast].map((each) => each.filter()),
      ...[voice.room, voice.user, voice.user_state, voice.room_state].map((each) => each.filter()),
    ],
  }),
  gateway('im-gateway', {
    summary: "Passes clients' requests to the message service and its pushes to clients",
    publish: [
      ...[...clientRpc, ...gatewayRpc, im.custom, im.online, im.offline].map((each) => each.filter()),
      ...all(imDevice),
    ],
    subscribe: [
      ...[im.pushUser, im.pushConv, im.members, im.presence].map((each) => each.filter()),
      ...all(imDevice),
    ],
  }),
  user('im-messages', {
    summary: 'Answers the gateways and internal services; pushes',
    answers: true,
    publish: [
      ...settings,
      ...[im.pushUser, im.pushConv, im.members, im.presence, im.offlinePush].map((each) => each.filter()),
    ],
    subscribe: [
      control.stats.filter({ service: 'im-messages' }),
      ...[...clientRpc, ...gatewayRpc, ...imService].map((each) => each.filter()),
    ],
  }),
  gateway('campus-socketio', {
    summary: 'Pushes to devices, keeps which of them are registered and live, and reports',
    publish: [
      ...reads(streamOf(campusOutboxStream)),
      ...follows(streamOf(campusOutboxStream)),
      ...deletes(streamOf(campusOutboxStream)),
      ...[campusDevicesBucket, campusLiveBucket].flatMap(readsAndWrites),
      // What a device says in a room is for everybody there.
      ...[campus.room, campus.holder, campus.ack, campus.presence].map((each) => each.filter()),
    ],
    subscribe: [
      ...[campus.device, campus.room, campus.holder].map((each) => each.filter()),
      ...[campus.device_put, campus.device_delete, campus.device_state].map((each) => each.filter()),
    ],
  }),
  user('endpoint-discovery', {
    summary: 'Hears where gateways are',
    answers: true,
    publish: settings,
    subscribe: [control.stats.filter({ service: 'endpoint-discovery' }), discovery.announce.filter()],
  }),
  user('console', {
    summary: 'Looks into the services, acts for operators, and records what they do',
    answers: true,
    publish: [
      ...settings,
      ...readsAndWrites(settingsBucket),
      ...all(control),
      ...[voice.room_state, im.convGet, campus.device_state].map((each) => each.filter()),
      // What operators may publish by hand, and the streams that confirm it.
      ...publishable.map(({ channel }) => channel.filter()),
      ...[auctionStream, quoteStream, campusOutboxStream].map(streamOf).flatMap(looks),
      audit.record.filter({ service: 'console' }),
      ...looks(streamOf(auditStream)),
      api(`STREAM.MSG.GET.${streamOf(auditStream)}`),
    ],
    subscribe: [control.stats.filter({ service: 'console' }), ...all(discovery)],
  }),
]

const publishers: readonly NatsUser[] = [
  user('auction-publisher', {
    summary: 'Publishes auction events',
    publish: [...all(auction), ...looks(streamOf(auctionStream))],
  }),
  user('quote-publisher', {
    summary: 'Publishes quotes',
    publish: [...all(quote), ...looks(streamOf(quoteStream))],
  }),
  user('voice-publisher', {
    summary: 'Publishes room events, asks for state, verifies sids, and hears what becomes of users',
    publish: [...voiceWork, voice.user_state, voice.room_state].map((each) => each.filter()),
    subscribe: [
      ...[voice.report, voice.online, voice.offline, voice.evicted, voice.unconfirmed, voice.verify].map(
        (each) => each.filter(),
      ),
    ],
    answers: true,
  }),
  user('im-publisher', {
    summary: 'Sends messages and notices, keeps members, answers custom requests, and hears of sessions',
    publish: imService.map((each) => each.filter()),
    subscribe: [im.custom, im.online, im.offline, im.offlinePush].map((each) => each.filter()),
    answers: true,
  }),
  user('campus-publisher', {
    summary: 'Pushes to devices and rooms, registers devices, and hears of both',
    publish: [
      ...looks(streamOf(campusOutboxStream)),
      ...[campus.device, campus.outbox, campus.room].map((each) => each.filter()),
      ...[campus.device_put, campus.device_delete, campus.device_state].map((each) => each.filter()),
    ],
    subscribe: [campus.ack, campus.presence, campus.room].map((each) => each.filter()),
  }),
]

const operators: readonly NatsUser[] = [
  user('operator', {
    summary: 'Looks into gateways, closes connections, and changes live settings',
    publish: [...all(control), ...settings, ...readsAndWrites(settingsBucket)],
    subscribe: all(discovery),
  }),
  user('provisioner', {
    summary: 'Makes the streams and buckets, or brings them up to the contract',
    publish: ['INFO', 'CREATE', 'UPDATE'].map((each) => api(`STREAM.${each}.*`)),
  }),
]

/** Everybody who connects to NATS, with the least that they need. The server's users are generated from this. */
export const natsUsers: readonly NatsUser[] = [...services, ...publishers, ...operators]
