import { Type } from 'typebox'

/** Subjects and keys carry ids percent-encoded, up to three times as long: the server takes 4,096 bytes of both. */
export const VOICE_ID_BYTES_MAX = 256

/** A user, seat or room id as publishers and clients write it: a text of any script, or a whole number. */
export const VoiceId = Type.Union([
  Type.String({ minLength: 1, maxLength: VOICE_ID_BYTES_MAX }),
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
])
export type VoiceId = string | number

/** An id in our own messages: always a text. */
export const VoiceName = Type.String({ minLength: 1, maxLength: VOICE_ID_BYTES_MAX })

/** Why an id is refused, or undefined where it is fine. */
export function idProblem(name: string, id: string): string | undefined {
  const bytes = Buffer.byteLength(id)
  return bytes > VOICE_ID_BYTES_MAX
    ? `${name} has ${bytes} bytes, at most ${VOICE_ID_BYTES_MAX} are allowed`
    : undefined
}
