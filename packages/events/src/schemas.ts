import { Type } from 'typebox'

/** A numeric id as it stands in JSON. */
export const Id = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
/** Milliseconds since the epoch. */
export const Millis = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
export const Count = Type.Integer({ minimum: 0 })
/** An id or a name: never empty. */
export const Name = Type.String({ minLength: 1, maxLength: 1024 })

/** Every request's answer says whether it went well: 0, or -1 with the reason. */
export const Outcome = Type.Object({ error_code: Type.Integer(), error_reason: Type.String() })
