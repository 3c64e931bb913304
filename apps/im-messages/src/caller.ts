import type { im } from '@carillon/codec'
import { isUserId } from './conversation-id.ts'
import { badRequest } from './refusal.ts'
import type { Device } from './store/inbox.ts'

/** Who asks, as a gateway has verified it. */
export interface Caller extends Device {
  readonly userId: string
}

const DEVICE_BYTES_MAX = 300

/** @throws {Refusal} */
export function readCaller(caller: im.rpc.Caller.$Properties | null | undefined): Caller {
  const userId = caller?.userId ?? ''
  if (!isUserId(userId)) throw badRequest('userId is not the id of a user')
  const device = `${caller?.platform ?? ''}:${caller?.deviceId ?? ''}`
  if (Buffer.byteLength(device) > DEVICE_BYTES_MAX || device.includes('\0')) {
    throw badRequest('the device is not named properly')
  }
  return { userId, device }
}
