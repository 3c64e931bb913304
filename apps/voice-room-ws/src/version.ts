import type { VoiceVersion } from '@carillon/events'

/**
 * Instances work on a room's events side by side, so that they may be seen to out of order. Their places in the
 * stream say which is the later one, and a later one is never undone by an earlier one.
 */
export function isNewer(version: VoiceVersion, than: VoiceVersion | null): boolean {
  if (than === null) return true
  if (version.epoch !== than.epoch) return version.epoch > than.epoch
  return version.sequence > than.sequence
}

export function isSame(a: VoiceVersion, b: VoiceVersion | null | undefined): boolean {
  return a.epoch === b?.epoch && a.sequence === b.sequence
}

export function newest(a: VoiceVersion, b: VoiceVersion | null): VoiceVersion {
  return isNewer(a, b) ? a : (b as VoiceVersion)
}
