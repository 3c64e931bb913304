export { asyncapi } from './asyncapi.ts'
export * from './auction.ts'
export * from './audit.ts'
export * from './campus.ts'
export * from './campus-events.ts'
export {
  agreesWithSubject,
  defineEvent,
  defineRequest,
  type Event,
  EventChannel,
  type EventOptions,
  RequestChannel,
  type RequestOptions,
} from './channel.ts'
export { type Contract, contract } from './contract.ts'
export * from './control.ts'
export * from './discovery.ts'
export * from './im.ts'
export * from './im-device.ts'
export { inboxPrefix, type NatsUser, natsUsers } from './nats-access.ts'
export { isNestedWithin } from './nesting.ts'
export { binary, json, type Payload, type Result } from './payload.ts'
export { type Publishable, publishable } from './publishable.ts'
export * from './quote.ts'
export { Id } from './schemas.ts'
export * from './services.ts'
export * from './settings.ts'
export { type BucketDefinition, DAY_MS, HOUR_MS, type StreamDefinition } from './storage.ts'
export {
  bucketKey,
  escapeKey,
  escapeToken,
  KEY_BYTES_MAX,
  SUBJECT_BYTES_MAX,
  type SubjectParams,
  SubjectPattern,
  SubjectTooLong,
  unescapeKey,
  unescapeToken,
} from './subject.ts'
export * from './voice/index.ts'
