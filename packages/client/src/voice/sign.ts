import { hmac } from '@noble/hashes/hmac.js'
import { md5 } from '@noble/hashes/legacy.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { ClientError } from '../core/errors.ts'
import type { Fields } from './voice.ts'

/** Hexadecimal digits that prove a text. */
export type Sign = (text: string) => string

/** What the server expects by default. */
export const signMd5: Sign = (text) => bytesToHex(md5(utf8ToBytes(text)))

/** For a server with `VOICE_SIGN=hmac-sha256`; an app that ships the secret gives it to everybody who looks. */
export const signHmacSha256 =
  (secret: string): Sign =>
  (text) =>
    bytesToHex(hmac(sha256, utf8ToBytes(secret), utf8ToBytes(text)))

/**
 * The frame with its signature, over its fields as compact JSON: names in the order of their bytes, `/` as `\/`.
 * @throws {ClientError} `invalid_argument`, where a name has characters besides letters, digits and `_`
 */
export function signedFrame(fields: Fields, sign: Sign): string {
  const names = Object.keys(fields).sort()
  const wrong = names.find((name) => !/^\w+$/.test(name) || name === 'sign')
  if (wrong !== undefined) throw new ClientError('invalid_argument', `a frame cannot have the field ${wrong}`)
  const text = JSON.stringify(names.map((name) => fields[name]))
  if (/\\ud[89a-f]/i.test(text))
    throw new ClientError('invalid_argument', 'a text has half of a character in it')
  const members = names.map((name) => `"${name}":${JSON.stringify(fields[name]).replaceAll('/', '\\/')}`)
  const signature = sign(`{${members.join()}}`)
  return `{${[...members, `"sign":"${signature}"`].join()}}`
}
