import { readFileSync, statSync } from 'node:fs'

/** Secrets that are good now: new things are made with the first, and each of them is accepted. */
export type Secrets = () => readonly [string, ...string[]]

export const SECRETS_MAX = 8
const BYTES_MAX = 65_536
/** How long a change of the file may go unnoticed. */
const CHECK_MS = 1_000

/** Why a text is no list of secrets, or the secrets: one a line, the newest first; empty lines are passed over. */
export function parseSecrets(text: string): readonly [string, ...string[]] | string {
  const [first, ...others] = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  if (first === undefined) return 'holds no secret'
  if (others.length >= SECRETS_MAX) return `holds more than ${SECRETS_MAX} secrets`
  return [first, ...others]
}

/** What a file of secrets holds, or why it cannot be used. */
export function readSecrets(file: string): readonly [string, ...string[]] | string {
  try {
    if (statSync(file).size > BYTES_MAX) return 'is too large'
    return parseSecrets(readFileSync(file, 'utf8'))
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`
  }
}

/**
 * The secrets of a file that may change at any time: it is read again within a second of a change, when a secret is
 * asked for. While it cannot be used, the secrets that were read last stay good.
 * @throws {Error} if it cannot be used at the beginning
 */
export function watchedSecrets(file: string, monotonic: () => number = () => performance.now()): Secrets {
  const first = readSecrets(file)
  if (typeof first === 'string') throw new Error(`${file} ${first}`)
  let secrets = first
  let checkedAtMs = monotonic()
  return () => {
    const nowMs = monotonic()
    if (nowMs - checkedAtMs >= CHECK_MS) {
      checkedAtMs = nowMs
      const read = readSecrets(file)
      if (typeof read !== 'string') secrets = read
    }
    return secrets
  }
}
