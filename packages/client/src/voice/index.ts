export * from '../core/index.ts'
export { type Sign, signHmacSha256, signMd5 } from './sign.ts'
export type { Fields, Notice, ReportAction } from './voice.ts'
export { type VoiceEvents, VoiceRoomClient, type VoiceRoomOptions } from './voice-room-client.ts'
