import { mintSid, signToken } from '@carillon/auth'
import type { Bus } from '@carillon/bus'
import { campus, SERIAL_NO_PATTERN } from '@carillon/events'
import type { TryCredentials, TryRequest } from '../api.ts'
import type { TryItSecrets } from '../config.ts'
import { ApiFailure } from '../http/api-failure.ts'

/** The service behind each name that clients use. */
const services: Readonly<Record<TryRequest['service'], string>> = {
  auction: 'auction-push',
  quote: 'quote-interact',
  voice: 'voice-room-ws',
  im: 'im-gateway',
  campus: 'campus-socketio',
}
const TTL_MS = 3_600_000
/** The key that the command-line tool registers test devices with. */
const DEVICE_KEY = 'abcdef'

export interface TryItOptions {
  readonly bus: Bus
  readonly now: () => number
  readonly secrets: TryItSecrets
  /** Where clients of a service connect, if an instance is live. */
  readonly endPointOf: (service: string) => string | undefined
}

/** Credentials of a test user, by the development secrets. @throws {ApiFailure} */
export async function tryIt(
  { bus, now, secrets, endPointOf }: TryItOptions,
  { service, user_id }: TryRequest,
): Promise<TryCredentials> {
  const base_url = endPointOf(services[service])
  if (base_url === undefined)
    throw new ApiFailure('unavailable', `no instance of ${services[service]} is live`)
  const nowMs = now()
  const expires_at = nowMs + TTL_MS
  const exp = Math.floor(expires_at / 1_000)
  switch (service) {
    case 'auction':
    case 'im':
      return {
        ...{ service, base_url, expires_at },
        token: await signToken(secrets.token, { sub: user_id, created: nowMs, exp }),
      }
    case 'quote': {
      const claims = {
        user_id,
        player_id: user_id,
        merchant_code: 'demo',
        issued_at: new Date(nowMs).toISOString(),
        expires_at: new Date(expires_at).toISOString(),
        language: 'en',
      }
      return { service, base_url, expires_at, token: await signToken(secrets.token, claims) }
    }
    case 'voice': {
      const { method, secret } = secrets.sign
      const sid = mintSid(secrets.sid, user_id, exp)
      return { service, base_url, expires_at, sid, sign: method, sign_secret: secret }
    }
    case 'campus': {
      if (!new RegExp(SERIAL_NO_PATTERN).test(user_id))
        throw new ApiFailure('bad_request', 'this is no serial number of a device')
      const state = await bus.request(campus.device_state, {}, { serial_no: user_id })
      if (!state.registered) {
        const put = { serial_no: user_id, device_key: DEVICE_KEY }
        const { error_code, error_reason } = await bus.request(campus.device_put, {}, put)
        if (error_code !== 0) throw new ApiFailure('unavailable', error_reason)
      }
      return { service, base_url, expires_at, serial_no: user_id, device_key: DEVICE_KEY }
    }
    default:
      return service satisfies never
  }
}
