import { type CompactVerifyGetKey, createRemoteJWKSet, customFetch, errors } from 'jose'

/** The keys to verify with cannot be had now: not the client's fault. */
export class KeysUnavailable extends Error {}

const BACK_OFF_MIN_MS = 1_000
const BACK_OFF_MAX_MS = 30_000
const FETCH_TIMEOUT_MS = 5_000

/**
 * Public keys from a JWKS URL. Keys that have been fetched are used while they are fresh; while the URL cannot be
 * read it is asked again after 1 s, 2 s, 4 s … up to 30 s, and not by every client that comes.
 * @throws {KeysUnavailable} where no key can be had; jose's errors where the token asks for one that is not there.
 */
export function createRemoteKeys(url: string, monotonic: () => number): CompactVerifyGetKey {
  let failures = 0
  let retryAtMs = 0

  const fetchKeys: typeof fetch = async (...request) => {
    if (failures > 0 && monotonic() < retryAtMs)
      throw new KeysUnavailable('the JWKS URL is not asked again yet')
    try {
      const response = await fetch(...request)
      if (response.status !== 200) throw new KeysUnavailable(`the JWKS URL answers ${response.status}`)
      failures = 0
      return response
    } catch (error) {
      retryAtMs = monotonic() + Math.min(BACK_OFF_MAX_MS, BACK_OFF_MIN_MS * 2 ** failures)
      failures = Math.min(failures + 1, 16)
      throw error
    }
  }

  const keys = createRemoteJWKSet(new URL(url), {
    [customFetch]: fetchKeys,
    timeoutDuration: FETCH_TIMEOUT_MS,
  })
  return async (header, token) => {
    try {
      return await keys(header, token)
    } catch (error) {
      if (isAboutToken(error)) throw error
      throw new KeysUnavailable('the keys cannot be fetched', { cause: error })
    }
  }
}

/** The key set is there, and the token asks for a key that it does not hold or does not name well enough. */
function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  )
}
