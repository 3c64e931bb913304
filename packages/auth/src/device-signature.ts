import { createHmac, timingSafeEqual } from 'node:crypto'

/** What a device signs in with. */
export interface DeviceCredentials {
  readonly serialNo: string
  readonly deviceKey: string
}

const SIGNATURE_LENGTH_MAX = 1_024
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The signature of a device: base64 of `serial_no:device_key`. */
export function signDevice({ serialNo, deviceKey }: DeviceCredentials): string {
  return Buffer.from(`${serialNo}:${deviceKey}`).toString('base64')
}

/**
 * The credentials in a signature, or undefined where it is none. Line breaks, as the `base64` program puts them
 * in, are skipped; the serial number ends at the first colon.
 */
export function parseDeviceSignature(signature: string): DeviceCredentials | undefined {
  if (signature.length > SIGNATURE_LENGTH_MAX) return undefined
  const compact = signature.replace(/[\r\n]/g, '')
  if (!BASE64.test(compact)) return undefined
  let text: string
  try {
    text = utf8.decode(Buffer.from(compact, 'base64'))
  } catch {
    return undefined
  }
  const colon = text.indexOf(':')
  if (colon < 1 || colon === text.length - 1) return undefined
  return { serialNo: text.slice(0, colon), deviceKey: text.slice(colon + 1) }
}

/**
 * A device's key as it is stored: HMAC-SHA256 under a secret that is not stored beside it, over serial number and
 * key, so that equal keys do not look equal. Not a slow hash: a whole fleet signs in again after a restart, and
 * what is stored is useless without the secret.
 */
export function hashDeviceKey(secret: string, { serialNo, deviceKey }: DeviceCredentials): string {
  return createHmac('sha256', secret).update(`${serialNo}\0${deviceKey}`).digest('base64')
}

/** Compares in constant time, also with a hash of a device that does not exist. */
export function verifyDeviceKey(
  secret: string,
  credentials: DeviceCredentials,
  stored: string | undefined,
): boolean {
  const given = Buffer.from(hashDeviceKey(secret, credentials), 'base64')
  const wanted = Buffer.from(stored ?? '', 'base64')
  const comparable = wanted.length === given.length
  return timingSafeEqual(comparable ? wanted : given, given) && comparable
}
