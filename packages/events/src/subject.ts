/**
 * NATS subjects as typed values. A pattern is a subject with named holes: `auction.{auctionId}.bid`.
 * `{name}` stands for one token; `{name...}`, only at the end, for one or more tokens (`v1.user.getSettings`).
 */
export type SubjectParams<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? { readonly [K in ParamName<Name>]: string } & SubjectParams<Rest>
  : unknown

type ParamName<N extends string> = N extends `${infer Base}...` ? Base : N

/** The runtime form of {@link SubjectParams}: parameter name to unescaped value. */
export type ParamValues = Readonly<Record<string, string>>

/**
 * What a subject may take. nats-server cuts a connection that sends a longer line than its `max_control_line`
 * (4,096 bytes by default), and a subject shares that line with JetStream's request prefix, a reply subject and
 * two sizes. Half of it leaves room for all of them, and for an operator's lower limit.
 */
export const SUBJECT_BYTES_MAX = 2_048

/** Ids that are too long for a subject, escaped as they stand in it. */
export class SubjectTooLong extends RangeError {
  constructor(pattern: string, bytes: number) {
    super(`${pattern} has ${bytes} bytes with these ids, and may have ${SUBJECT_BYTES_MAX}`)
  }
}

const LONE_SURROGATE = /\p{Surrogate}/gu

/**
 * An id as one subject token: `encodeURIComponent`, with `.` and `*` escaped too.
 * @throws {RangeError} if the id is empty: NATS has no empty tokens.
 */
export function escapeToken(id: string): string {
  if (id === '') throw new RangeError('a subject token cannot be empty')
  return encodeURIComponent(id.replace(LONE_SURROGATE, '\uFFFD')).replace(/[.*]/g, (c) =>
    c === '.' ? '%2E' : '%2A',
  )
}

/** The id behind a token, or undefined where the token is no valid escape sequence. */
export function unescapeToken(token: string): string | undefined {
  if (!token.includes('%')) return token
  try {
    return decodeURIComponent(token)
  } catch {
    return undefined
  }
}

/** The same of several tokens, which stay apart by dots. */
function unescapeTokens(tokens: readonly string[]): string | undefined {
  const ids = tokens.map(unescapeToken)
  return ids.includes(undefined) ? undefined : ids.join('.')
}

/** An id as one token of a key-value key, where the escape character is `=`. */
export function escapeKey(id: string): string {
  return escapeToken(id).replace(/[!~'()%]/g, (c) =>
    c === '%' ? '=' : `=${c.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** Bytes of a bucket's key: it stands in a subject behind the bucket's name. */
export const KEY_BYTES_MAX = SUBJECT_BYTES_MAX - 256

/**
 * Ids as a key of a bucket, one token each.
 * @throws {RangeError} if an id is empty, or all together are longer than {@link KEY_BYTES_MAX}
 */
export function bucketKey(...ids: readonly string[]): string {
  const key = ids.map(escapeKey).join('.')
  if (key.length > KEY_BYTES_MAX) throw new SubjectTooLong('a key', key.length)
  return key
}

/** The id behind a token of a key-value key, or undefined where it is no valid escape sequence. */
export function unescapeKey(token: string): string | undefined {
  return unescapeToken(token.replaceAll('=', '%'))
}

interface Token {
  readonly text: string
  readonly param: string | undefined
  readonly rest: boolean
}

/** A compiled subject pattern: prints subjects and wildcard filters, and reads the ids back. */
export class SubjectPattern<P extends string> {
  readonly pattern: P
  readonly #tokens: readonly Token[]

  constructor(pattern: P) {
    this.pattern = pattern
    this.#tokens = pattern.split(/\.(?![^{]*\})/).map((text) => {
      const hole = /^\{(\w+)(\.\.\.)?\}$/.exec(text)
      return { text, param: hole?.[1], rest: hole?.[2] !== undefined }
    })
  }

  /** The names of the holes, in order. */
  get params(): readonly string[] {
    return this.#tokens.flatMap((token) => token.param ?? [])
  }

  /** The pattern as an AsyncAPI address: `{method...}` is `{method}` there. */
  get address(): string {
    return this.pattern.replaceAll('...}', '}')
  }

  /** The subject of these ids. @throws {RangeError} if an id is empty; {@link SubjectTooLong} */
  subject(params: SubjectParams<P>): string {
    return this.#print(params as ParamValues, (token) => {
      throw new RangeError(`${this.pattern} needs ${token.param}`)
    })
  }

  /** Whether these ids make a subject: none is empty, and they are not too long together. */
  fits(params: SubjectParams<P>): boolean {
    try {
      this.subject(params)
      return true
    } catch (error) {
      if (error instanceof RangeError) return false
      throw error
    }
  }

  /** The subscription filter of these ids; a missing one becomes a wildcard. @throws {SubjectTooLong} */
  filter(params: Partial<SubjectParams<P>> = {}): string {
    return this.#print(params as ParamValues, (token) => (token.rest ? '>' : '*'))
  }

  /** The ids in a subject, or undefined where it does not match this pattern. */
  parse(subject: string): SubjectParams<P> | undefined {
    const parts = subject.split('.')
    const tokens = this.#tokens
    if (parts.length !== tokens.length && !tokens.at(-1)?.rest) return undefined
    const values: Record<string, string> = {}
    for (let i = 0; i < tokens.length; i++) {
      const { text, param, rest } = tokens[i] as Token
      const part = parts[i]
      if (part === undefined || part === '') return undefined
      if (param === undefined) {
        if (text !== part) return undefined
        continue
      }
      const id = rest ? unescapeTokens(parts.slice(i)) : unescapeToken(part)
      if (id === undefined) return undefined
      values[param] = id
    }
    return values as SubjectParams<P>
  }

  #print(params: ParamValues, missing: (token: Token) => string): string {
    const printed = this.#tokens
      .map((token) => {
        if (token.param === undefined) return token.text
        const value = params[token.param]
        if (value === undefined) return missing(token)
        return token.rest ? value.split('.').map(escapeToken).join('.') : escapeToken(value)
      })
      .join('.')
    // Escaped, so that its length is its bytes.
    if (printed.length > SUBJECT_BYTES_MAX) throw new SubjectTooLong(this.pattern, printed.length)
    return printed
  }
}
