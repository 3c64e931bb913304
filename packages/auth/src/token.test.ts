import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { createTokenVerifier, signToken } from './token.ts'

const SECRET = 'a-secret-of-some-length'
const NOW = Date.parse('2026-01-01T00:00:00Z')
const now = () => NOW
const verify = createTokenVerifier({ secret: SECRET, now })
const claims = { sub: '3600', created: NOW, exp: NOW / 1_000 + 60 }
const failure = async (token: string | undefined, verifier = verify) => {
  const result = await verifier(token)
  return result.ok ? 'none' : result.failure
}

describe('a token', () => {
  test('tells who it is for and when it ends', async () => {
    const result = await verify(await signToken(SECRET, claims))
    expect(result).toMatchObject({ ok: true, token: { subject: '3600', expiresAtMs: NOW + 60_000 } })
  })

  test('the documented token reads as one of ours, long expired', async () => {
    const documented =
      'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIzNjAwIiwiY3JlYXRlZCI6MTYyNjY4MDgwMjM2MywiZXhwIjoxNjI3Mjg1NjAyfQ.PNjPW0ZjfHIWYMGKamNHnmPJcs6hdsIY85ZzQVFuoT8'
    expect(await failure(documented)).toBe('bad_signature')
    const header = JSON.parse(Buffer.from(documented.split('.')[0] as string, 'base64url').toString())
    const signed = await signToken(SECRET, claims)
    expect(JSON.parse(Buffer.from(signed.split('.')[0] as string, 'base64url').toString())).toEqual(header)
  })

  test.each([
    ['missing', undefined],
    ['missing', ''],
    ['malformed', 'x'],
    ['malformed', 'a.b.c'],
    ['malformed', 'x'.repeat(10_000)],
  ])('%s: %s', async (wanted, token) => {
    expect(await failure(token)).toBe(wanted)
  })

  test('forged', async () => {
    expect(await failure(await signToken('another-secret-of-some-length', claims))).toBe('bad_signature')
  })

  test('alg none', async () => {
    expect(await failure(new UnsecuredJWT(claims).encode())).toBe('unsupported_algorithm')
  })

  test('an algorithm that is not pinned', async () => {
    const key = new TextEncoder().encode(SECRET)
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'HS512' }).sign(key)
    expect(await failure(token)).toBe('unsupported_algorithm')
  })

  test.each([
    ['expired', { exp: NOW / 1_000 }],
    ['not_yet_valid', { created: NOW + 120_000 }],
    ['not_yet_valid', { nbf: NOW / 1_000 + 120 }],
    ['malformed', { exp: undefined }],
    ['malformed', { exp: 'tomorrow' }],
    ['malformed', { created: '1' }],
    ['malformed', { sub: 3600 }],
    ['malformed', { nbf: '1' }],
    ['malformed', { nbf: null }],
    ['none', { created: NOW + 30_000 }],
    ['none', { created: undefined }],
  ])('%s: %j', async (wanted, change) => {
    expect(await failure(await signToken(SECRET, { ...claims, ...change } as never))).toBe(wanted)
  })

  test('issuer and audience', async () => {
    const strict = createTokenVerifier({ secret: SECRET, now, issuer: 'login', audience: 'auction' })
    expect(await failure(await signToken(SECRET, claims), strict)).toBe('malformed')
    expect(
      await failure(await signToken(SECRET, { ...claims, iss: 'login', aud: ['auction', 'x'] }), strict),
    ).toBe('none')
  })
})

test('a token has one spelling', async () => {
  const token = await signToken(SECRET, claims)
  const [header, payload, signature = ''] = token.split('.')
  expect(await failure(token)).toBe('none')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(signature.at(-1) as string)
  // The last character of 32 bytes has two bits that mean nothing.
  const others = [1, 2, 3].map(
    (bits) => `${header}.${payload}.${signature.slice(0, -1)}${alphabet[last ^ bits]}`,
  )
  const spellings = [
    ` ${token}`,
    `${token} `,
    `${token}\n`,
    `${token}=`,
    token.replace('.', '.\r\n'),
    token.replace('.', '. '),
    `${header}.${payload}.${signature.slice(0, 9)}\n${signature.slice(9)}`,
    `${header}.${payload}.${signature}.`,
    ...others,
  ]
  for (const spelling of spellings)
    expect([spelling, await failure(spelling)]).toEqual([spelling, 'malformed'])
})

test('a token that comes again is still held against the time', async () => {
  let time = NOW
  const moving = createTokenVerifier({ secret: SECRET, now: () => time })
  const token = await signToken(SECRET, claims)
  expect(await failure(token, moving)).toBe('none')
  time += 59_999
  expect(await failure(token, moving)).toBe('none')
  time += 1
  expect(await failure(token, moving)).toBe('expired')
})

describe('tokens of public keys', () => {
  test('are verified by JWKS, and HS256 with the public key is not', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }
    const server = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    const verifier = createTokenVerifier({ jwksUrl, now })
    const good = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(privateKey)
    expect(await failure(good, verifier)).toBe('none')
    expect(await failure(await signToken(JSON.stringify(jwk), claims), verifier)).toBe(
      'unsupported_algorithm',
    )
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))

    const unreachable = createTokenVerifier({ jwksUrl, now })
    expect(await failure(good, unreachable)).toBe('keys_unavailable')
  })

  test('keys that cannot be fetched are nobody’s fault, and are asked for again after a while, not by everybody', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }] })
    let answer: readonly [number, string] = [500, '']
    let asked = 0
    const server = createServer((_request, response) => {
      asked += 1
      response.writeHead(answer[0]).end(answer[1])
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    let elapsedMs = 0
    const verifier = createTokenVerifier({ jwksUrl, now, monotonic: () => elapsedMs })
    const good = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(privateKey)
    for (let i = 0; i < 5; i++) expect(await failure(good, verifier)).toBe('keys_unavailable')
    expect(asked).toBe(1)
    elapsedMs += 1_000
    for (let i = 0; i < 5; i++) expect(await failure(good, verifier)).toBe('keys_unavailable')
    expect(asked).toBe(2)
    elapsedMs += 1_999
    expect(await failure(good, verifier)).toBe('keys_unavailable')
    expect(asked).toBe(2)
    elapsedMs += 1
    for (const broken of ['', 'x', '[]', '{"keys":1}']) {
      answer = [200, broken]
      expect(await failure(good, verifier)).toBe('keys_unavailable')
      elapsedMs += 60_000
    }
    answer = [200, keys]
    expect(await failure(good, verifier)).toBe('none')
    const unknown = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k2' }).sign(privateKey)
    expect(await failure(unknown, verifier)).toBe('bad_signature')
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    expect(await failure(good, verifier)).toBe('none')
  })

  test('something to verify with is needed', () => {
    expect(() => createTokenVerifier({})).toThrow(TypeError)
  })
})
