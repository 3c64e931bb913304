export { type Counters, createCounters } from './counters.ts'
export { Outbox, type OverflowPolicy } from './outbox.ts'
export type { Sink } from './sink.ts'
export { type PublishOptions, Topics, type TopicsOptions } from './topics.ts'
