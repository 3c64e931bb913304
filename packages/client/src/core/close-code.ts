/** How a connection ended. Without a close frame the code is 1006. */
export interface CloseInfo {
  readonly code: number
  readonly reason: string
}

/** By close code: does the client connect again? Each protocol's page has this table; a test compares the two. */
export type CloseCodes = Readonly<Record<number, boolean>>

/**
 * Codes of the WebSocket protocol that blame this client: the same frames would end the next connection as well.
 * 1002 protocol error, 1003 unacceptable data, 1007 not UTF-8, 1008 policy, 1009 too big, 1010 missing extension.
 */
const OWN_MISTAKES = [1002, 1003, 1007, 1008, 1009, 1010]

/**
 * Does the client connect again after this code? Codes from 3000 on that the protocol's page does not name are an
 * operator's: whoever sends a client away with a code of their own does not want it back at once.
 */
export function reconnectsAfter(code: number, codes: CloseCodes): boolean {
  return codes[code] ?? (code < 3000 && !OWN_MISTAKES.includes(code))
}
