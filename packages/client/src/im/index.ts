export * from '../core/index.ts'
export type { Message, MessageOptions, Notice, OutgoingMessage } from './im.ts'
export { ImClient, type ImEvents, type ImOptions, type SendOptions } from './im-client.ts'
