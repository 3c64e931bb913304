export { idProblem, VOICE_ID_BYTES_MAX, VoiceId } from './ids.ts'
export * from './internal.ts'
export {
  isVoiceAction,
  VOICE_NOTICE_BYTES_MAX,
  type VoiceAction,
  type VoiceNotice,
  type VoiceNotices,
  voiceActions,
  voiceNotices,
} from './notices.ts'
export * from './state.ts'
export * from './voice.ts'
