export { Bucket, type Change, type Entry } from './bucket.ts'
export {
  Bus,
  type Delivery,
  type Headers,
  type RejectedPayload,
  type Subscription,
} from './bus.ts'
export type { BusLog, BusOptions } from './connection.ts'
export { BusUnavailable, NoResponders } from './errors.ts'
export { Interest, type InterestEvent, type InterestOptions } from './interest.ts'
export { LiveSettings } from './live-settings.ts'
export { type StoredMessage, Stream } from './stream.ts'
