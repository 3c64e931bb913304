import { type Static, Type } from 'typebox'
import { defineEvent } from './channel.ts'
import { json } from './payload.ts'
import { Count, Name } from './schemas.ts'

export const ImDeviceClaim = Type.Object(
  {
    user_id: Name,
    platform: Name,
    device_id: Name,
    instance_id: Name,
    /** Unique over all instances. */
    connection_id: Name,
    /** A hybrid logical clock: greater than the order of every claim that the claiming instance has seen. */
    order: Count,
    /** Said before: only `order` tells which connection is newer. */
    repeated: Type.Boolean(),
  },
  { $id: 'ImDeviceClaim' },
)
export type ImDeviceClaim = Static<typeof ImDeviceClaim>

/** Gateways among themselves. */
export const imDevice = {
  claimed: defineEvent('im.device.{userId}.claimed', {
    direction: 'send',
    summary: 'A connection stands for this device from now on: other instances close an older one',
    payload: json(ImDeviceClaim),
    refine({ userId }, payload) {
      return userId === payload.user_id
        ? { ok: true, value: payload }
        : { ok: false, reason: 'user_id is not the one in the subject' }
    },
  }),
} as const
