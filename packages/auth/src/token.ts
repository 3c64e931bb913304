import { hash, type webcrypto } from 'node:crypto'
import { type CompactVerifyGetKey, compactVerify, errors, type JWTPayload, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { type ClaimTimes, registeredTimes } from './claim-times.ts'
import { createRemoteKeys, KeysUnavailable } from './remote-keys.ts'

/** Why a token was refused. Fit for a metric's label and a client's error: it says nothing of the token. */
export type TokenFailure =
  | 'missing'
  | 'malformed'
  | 'unsupported_algorithm'
  | 'bad_signature'
  | 'expired'
  | 'not_yet_valid'
  | 'keys_unavailable'

export interface VerifiedToken {
  readonly claims: JWTPayload
  /** The `sub` claim, where there is one. */
  readonly subject: string | undefined
  /** When it ends, in milliseconds since the epoch. */
  readonly expiresAtMs: number
}

export type TokenResult =
  | { readonly ok: true; readonly token: VerifiedToken }
  | { readonly ok: false; readonly failure: TokenFailure }

export interface TokenOptions {
  /** The shared secret of HS256 tokens, or those that are good now: a token by any of them is. */
  readonly secret?: string | (() => readonly string[])
  /** Where the public keys of RS256, PS256, ES256 and EdDSA tokens are. */
  readonly jwksUrl?: string
  readonly issuer?: string
  readonly audience?: string
  /** Reads the times out of the claims; default: `created` or `nbf`, and `exp`. */
  readonly times?: (claims: JWTPayload) => ClaimTimes | undefined
  /** How far another machine's clock may be ahead, in milliseconds. */
  readonly toleranceMs?: number
  readonly now?: () => number
  /** For the back-off while keys cannot be fetched; default: the process's own monotonic clock. */
  readonly monotonic?: () => number
}

const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
const TOKEN_LENGTH_MAX = 8_192
/** Imported keys of secrets; more are imported anew. */
const SECRETS_MAX = 16
const CACHED_MAX = 10_000
/** Of tokens and their claims, roughly. */
const CACHED_BYTES_MAX = 33_554_432
const CACHED_MS = 60_000

/** Signs and verifies on a developer's machine; services refuse it in production. */
export const DEVELOPMENT_SECRET = 'carillon-development-secret-not-for-production'

export type VerifyToken = (token: string | undefined) => Promise<TokenResult>

/**
 * Verifies JSON Web Tokens with pinned algorithms: HS256 where a secret is given, public-key ones where a JWKS
 * URL is. With both, each algorithm is checked with its own kind of key.
 * @throws {TypeError} if neither is given.
 */
export function createTokenVerifier(options: TokenOptions): VerifyToken {
  const {
    secret,
    jwksUrl,
    issuer,
    audience,
    times = registeredTimes,
    toleranceMs = 60_000,
    now = Date.now,
    monotonic = () => performance.now(),
  } = options
  if (secret === undefined && jwksUrl === undefined) throw new TypeError('a secret or a JWKS URL is needed')
  const secretsNow = typeof secret === 'string' ? () => [secret] : secret
  const secretKeys = new LRUCache<string, Promise<webcrypto.CryptoKey>>({ max: SECRETS_MAX })
  const secretKey = (text: string) => {
    const known = secretKeys.get(text) ?? importSecret(text)
    secretKeys.set(text, known)
    return known
  }
  const remoteKeys = jwksUrl === undefined ? undefined : createRemoteKeys(jwksUrl, monotonic)
  const algorithms = [...(secretsNow ? ['HS256'] : []), ...(remoteKeys ? ASYMMETRIC : [])]
  /** Its payload, by the first secret that it is signed with. @throws a JOSEError */
  const verifySignature = async (token: string): Promise<Uint8Array> => {
    const secrets = [...(secretsNow?.() ?? [''])]
    for (;;) {
      const text = secrets.shift() as string
      const key: CompactVerifyGetKey = (header, parts) =>
        header.alg === 'HS256'
          ? secretKey(text)
          : (remoteKeys as NonNullable<typeof remoteKeys>)(header, parts)
      try {
        return (await compactVerify(token, key, { algorithms })).payload
      } catch (error) {
        const mayBeAnother = error instanceof errors.JWSSignatureVerificationFailed && secrets.length > 0
        if (!mayBeAnother) throw error
      }
    }
  }

  // Clients come back with the same token, some of them every half minute: the signature need not be checked
  // each time, the times below are. Bounded in age, so that a withdrawn key does not live on.
  // Known by their digests: a token itself is longer, and a secret.
  const verified = new LRUCache<string, JWTPayload>({
    max: CACHED_MAX,
    ttl: CACHED_MS,
    maxSize: CACHED_BYTES_MAX,
  })

  return async (token) => {
    if (token === undefined || token === '') return refuse('missing')
    if (token.length > TOKEN_LENGTH_MAX || !isCanonical(token)) return refuse('malformed')
    const digest = hash('sha256', token, 'base64')
    let claims = verified.get(digest)
    if (claims === undefined) {
      try {
        claims = parseClaims(await verifySignature(token))
      } catch (error) {
        return refuse(failureOf(error))
      }
      // Claims take no more than three times the room of their text.
      if (claims !== undefined) verified.set(digest, claims, { size: token.length * 3 })
    }
    if (claims === undefined || (issuer && claims.iss !== issuer)) return refuse('malformed')
    if (audience && ![claims.aud].flat().includes(audience)) return refuse('malformed')
    const found = times(claims)
    if (found === undefined) return refuse('malformed')
    if (found.expiresAtMs <= now()) return refuse('expired')
    if (found.notBeforeMs !== undefined && found.notBeforeMs > now() + toleranceMs)
      return refuse('not_yet_valid')
    return { ok: true, token: { claims, subject: claims.sub || undefined, expiresAtMs: found.expiresAtMs } }
  }
}

const refuse = (failure: TokenFailure): TokenResult => ({ ok: false, failure })

const COMPACT = /^[\w-]+\.[\w-]*\.([\w-]*)$/

/**
 * Base64url without blanks, padding or bits that mean nothing: a token has one spelling, and cannot take the place
 * of several others in what is remembered. Header and claims are signed as they are spelled; the signature is not.
 */
function isCanonical(token: string): boolean {
  const signature = COMPACT.exec(token)?.[1]
  return signature !== undefined && Buffer.from(signature, 'base64url').toString('base64url') === signature
}

/** Claims are a JSON object, and `sub`, where there is one, a string. */
function parseClaims(payload: Uint8Array): JWTPayload | undefined {
  try {
    const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined
    const { sub } = claims as JWTPayload
    return sub === undefined || typeof sub === 'string' ? (claims as JWTPayload) : undefined
  } catch {
    return undefined
  }
}

function importSecret(secret: string): Promise<webcrypto.CryptoKey> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  return crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, [
    'sign',
    'verify',
  ])
}

function failureOf(error: unknown): TokenFailure {
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey) {
    return 'bad_signature'
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'unsupported_algorithm'
  if (error instanceof KeysUnavailable) return 'keys_unavailable'
  return 'malformed'
}

/**
 * A token as the login service issues it: HS256, `sub`, `created` in milliseconds, `exp` in seconds, and no
 * `typ` in the header. For the command-line tool and for tests.
 */
export async function signToken(
  secret: string,
  claims: JWTPayload,
  header: { readonly alg: string; readonly typ?: string } = { alg: 'HS256' },
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader(header).sign(await importSecret(secret))
}
