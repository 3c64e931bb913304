import { ProtocolError, parseJsonObject, spliceTextFrame, textFrame } from '@carillon/codec'
import { type MarketKind, SubjectTooLong } from '@carillon/events'
import { kinds, type Market, marketOf } from './market.ts'

/** The wire of quote-interact, as PROTOCOL.md tells it. */

export type Command =
  | { readonly type: 'follow'; readonly market: Market }
  /** Of either kind. */
  | { readonly type: 'unfollow'; readonly markets: readonly Market[] }
  | { readonly type: 'start' }
  | { readonly type: 'stop' }

export { gatewayCloseCodes as closeCodes } from '@carillon/codec'

const ID_LENGTH_MAX = 256

/** A client's frame as a command. @throws {ProtocolError} that says what is wrong. */
export function parseCommand(text: string): Command {
  const frame = parseJsonObject(text)
  if (frame === undefined) throw new ProtocolError('frame', 'the message must be a JSON object')
  if (typeof frame.commend !== 'string') throw new ProtocolError('commend', 'commend must be a string')
  const { commend } = frame
  if (commend === 'start' || commend === 'stop') return { type: commend }

  // First '#', then first '@': what stands before the '#' is the command and has an '@' of its own.
  const [name, target] = cut(commend, '#')
  const market = (kind: MarketKind): Market => parseMarket(kind, name, target)
  switch (name) {
    case 'order-slip-quote@chloe-market':
      return { type: 'follow', market: market('chloe') }
    case 'order-slip-quote@fancy-market':
      return { type: 'follow', market: market('fancy') }
    case 'unsubscribe-order-slip-quote':
      return { type: 'unfollow', markets: kinds.map(market) }
    default:
      throw new ProtocolError('commend', `unknown commend ${JSON.stringify(name.slice(0, 64))}`)
  }
}

/** `{eventID}@{marketID}` */
function parseMarket(kind: MarketKind, name: string, target: string | undefined): Market {
  const error = (what: string) => new ProtocolError('commend', `${name} needs #{eventID}@{marketID}: ${what}`)
  if (target === undefined) throw error('there is no #')
  const [eventId, marketId] = cut(target, '@')
  if (marketId === undefined) throw error('there is no @ behind the #')
  for (const id of [eventId, marketId]) {
    if (id === '') throw error('an id is empty')
    if (id.length > ID_LENGTH_MAX) throw error('an id is too long')
    if (/[#@]/.test(id)) throw error('an id has a # or @ in it')
  }
  try {
    return marketOf(kind, eventId, marketId)
  } catch (reason) {
    if (reason instanceof SubjectTooLong) throw error('the ids are too long together')
    throw reason
  }
}

/** The two sides of the first separator; the second is undefined where there is none. */
function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** `{"type":"error","error":"…"}` */
export function errorFrame({ message }: ProtocolError): Buffer {
  return textFrame(JSON.stringify({ type: 'error', error: message }))
}

export const ALIVE = textFrame('{"type":"alive"}')

const prefixes: Readonly<Record<MarketKind, Buffer>> = {
  chloe: Buffer.from('{"type":"order-slip","data":'),
  fancy: Buffer.from('{"type":"order-slip-fancy","data":'),
}
const SUFFIX = Buffer.from('}')

/** A market's quotes: the publisher's own bytes, checked before, in the envelope of their kind. */
export function quoteFrame(kind: MarketKind, payload: Uint8Array): Buffer {
  return spliceTextFrame(prefixes[kind], payload, SUFFIX)
}
