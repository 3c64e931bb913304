import { type Sign, signHmacSha256, signMd5 } from '@carillon/client/voice'

/** How the services of this machine sign: by the same variables. */
export function signOf({ VOICE_SIGN, VOICE_SIGN_SECRET = '' }: NodeJS.ProcessEnv): Sign {
  return VOICE_SIGN === 'hmac-sha256' ? signHmacSha256(VOICE_SIGN_SECRET) : signMd5
}
