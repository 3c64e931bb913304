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
    /**
     * When the connection was made, by a hybrid logical clock: greater than every order that its instance had seen.
     */
    order: Count,
    /** Said before: only `order` tells which connection is newer. */
    repeated: Type.Boolean(),
  },
  { $id: 'ImDeviceClaim' },
)
export type ImDeviceClaim = Static<typeof ImDeviceClaim>

const ofItsUser = ({ userId }: { readonly userId: string }, payload: ImDeviceClaim) =>
  userId === payload.user_id
    ? ({ ok: true, value: payload } as const)
    : ({ ok: false, reason: 'user_id is not the one in the subject' } as const)

/** Gateways among themselves. */
export const imDevice = {
  opening: defineEvent('im.device.{userId}.opening', {
    direction: 'send',
    summary: 'A connection of this device was made and is not connected yet: later ones have a greater order',
    payload: json(ImDeviceClaim),
    refine: ofItsUser,
  }),
  claimed: defineEvent('im.device.{userId}.claimed', {
    direction: 'send',
    summary: 'A connection stands for this device from now on: other instances close an older one',
    payload: json(ImDeviceClaim),
    refine: ofItsUser,
  }),
} as const
