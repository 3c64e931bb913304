import { readFileSync, statSync } from 'node:fs'

type SecretList = readonly [string, ...string[]]

/** Secrets that are good now: new things are made with the first, and each of them is accepted. */
export type Secrets = () => SecretList

/** The secrets of a file, and what is wrong with the file as it was last read. */
export interface WatchedSecrets extends Secrets {
  /** The environment variable that names the file. */
  readonly variable: string
  /** Why the file cannot be used, so that the secrets read before stay good; undefined where it can. */
  readonly problem: () => string | undefined
}

export interface SecretFile {
  readonly file: string
  /** The environment variable that names it. */
  readonly variable: string
  /** What everybody knows, and a file must therefore not hold. */
  readonly developmentSecret: string
}

export const SECRETS_MAX = 8
export const SECRET_LENGTH_MIN = 16
const BYTES_MAX = 65_536
/** How long a change of the file may go unnoticed. */
const CHECK_MS = 1_000

/** Why a text is no list of secrets, or the secrets: one a line, the newest first; empty lines are passed over. */
export function parseSecrets(text: string, developmentSecret: string): SecretList | string {
  const [first, ...others] = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  if (first === undefined) return 'holds no secret'
  if (others.length >= SECRETS_MAX) return `holds more than ${SECRETS_MAX} secrets`
  const secrets: SecretList = [first, ...others]
  if (secrets.includes(developmentSecret)) return 'holds the development secret'
  if (secrets.some(({ length }) => length < SECRET_LENGTH_MIN))
    return `holds a secret of less than ${SECRET_LENGTH_MIN} characters`
  return secrets
}

/** What a file of secrets holds, or why it cannot be used. */
export function readSecrets({
  file,
  developmentSecret,
}: Pick<SecretFile, 'file' | 'developmentSecret'>): SecretList | string {
  try {
    if (statSync(file).size > BYTES_MAX) return 'is too large'
    return parseSecrets(readFileSync(file, 'utf8'), developmentSecret)
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`
  }
}

/**
 * The secrets of a file that may change at any time: it is read again within a second of a change, when a secret or
 * the file's problem is asked for. While it cannot be used, the secrets that were read last stay good.
 * @throws {Error} if it cannot be used at the beginning
 */
export function watchedSecrets(
  secretFile: SecretFile,
  monotonic: () => number = () => performance.now(),
): WatchedSecrets {
  const first = readSecrets(secretFile)
  if (typeof first === 'string') throw new Error(`${secretFile.file} ${first}`)
  let secrets = first
  let problem: string | undefined
  let checkedAtMs = monotonic()
  const check = () => {
    const nowMs = monotonic()
    if (nowMs - checkedAtMs < CHECK_MS) return
    checkedAtMs = nowMs
    const read = readSecrets(secretFile)
    problem = typeof read === 'string' ? read : undefined
    if (typeof read !== 'string') secrets = read
  }
  return Object.assign(
    () => {
      check()
      return secrets
    },
    {
      variable: secretFile.variable,
      problem: () => {
        check()
        return problem
      },
    },
  )
}

/** Whether a source of secrets is a file that is watched. */
export function isWatched(secrets: unknown): secrets is WatchedSecrets {
  return typeof secrets === 'function' && 'problem' in secrets && 'variable' in secrets
}
