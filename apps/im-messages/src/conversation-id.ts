/** What a conversation's id says. */
export type ConversationId =
  /** Two users: `single:<smaller>-<larger>`. */
  | { readonly kind: 'single'; readonly members: readonly [string, string] }
  /** A group, whose members an internal service states: `group:<gid>`. */
  | { readonly kind: 'group' }
  /** A channel of notices, which has no messages: `notice:<name>`. */
  | { readonly kind: 'notice' }

export const CONVERSATION_ID_BYTES_MAX = 160

const USER_ID = /^[a-zA-Z0-9_]{1,64}$/
const SINGLE = /^single:([a-zA-Z0-9_]{1,64})-([a-zA-Z0-9_]{1,64})$/
/** Printable and without spaces, half surrogate pairs and control characters. */
const NAMED = /^(group|notice):[^\p{Z}\p{C}]+$/u

export function isUserId(text: string): boolean {
  return USER_ID.test(text)
}

/** The parts of a conversation's id, or undefined where it is none. Ids of two users are in plain string order. */
export function parseConversationId(text: string): ConversationId | undefined {
  if (Buffer.byteLength(text) > CONVERSATION_ID_BYTES_MAX) return undefined
  const single = SINGLE.exec(text)
  if (single !== null) {
    const [, smaller, larger] = single as unknown as [string, string, string]
    return smaller < larger ? { kind: 'single', members: [smaller, larger] } : undefined
  }
  const named = NAMED.exec(text)
  return named === null ? undefined : { kind: named[1] as 'group' | 'notice' }
}

/** The id of a stored message. */
export function serverMsgIdOf(convId: string, seq: number): string {
  return `${convId}-${seq}`
}

/** The conversation and the place that a stored message's id names, or undefined where it is of another form. */
export function parseServerMsgId(
  text: string,
): { readonly convId: string; readonly seq: number } | undefined {
  const at = text.lastIndexOf('-')
  const seq = parseSeq(text.slice(at + 1))
  return at > 0 && seq !== undefined && seq > 0 ? { convId: text.slice(0, at), seq } : undefined
}

/** A sequence number as it stands on the wire. Those above 2^53 are beyond any conversation. */
export function parseSeq(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
