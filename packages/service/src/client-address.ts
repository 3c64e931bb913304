import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** Which proxies in front of a service are trusted for the address of the client. */
export type TrustedProxies =
  | { readonly type: 'none' }
  /** This many proxies stand in front, the nearest one being the peer of the socket. */
  | { readonly type: 'hops'; readonly count: number }
  /** The peer, and each proxy before it, is trusted where its address is in one of these networks. */
  | { readonly type: 'networks'; readonly networks: BlockList }

const HOPS_MAX = 16

/**
 * `false` or 0 for none, a number of hops, or networks and addresses separated by commas
 * (`10.0.0.0/8,fd00::/8,192.0.2.7`). Undefined where the text is none of them.
 */
export function parseTrustedProxies(text: string): TrustedProxies | undefined {
  if (text === 'false' || text === '0') return { type: 'none' }
  if (/^\d+$/.test(text)) {
    const count = Number(text)
    return count <= HOPS_MAX ? { type: 'hops', count } : undefined
  }
  const networks = new BlockList()
  for (const network of text.split(',').map((each) => each.trim())) {
    const [address = '', bits, ...rest] = network.split('/')
    const version = isIP(address)
    if (version === 0 || rest.length > 0) return undefined
    const family = version === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) networks.addAddress(address, family)
    else if (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)) {
      networks.addSubnet(address, Number(bits), family)
    } else return undefined
  }
  return { type: 'networks', networks }
}

/**
 * The client's address: that of the socket, or what trusted proxies say in `X-Forwarded-For`, where each one
 * appends the address it was connected from. What is no IP address ends the chain: it was not written by a proxy
 * that is worth believing.
 */
export function clientAddress(
  {
    socket,
    headers,
  }: Pick<IncomingMessage, 'headers'> & {
    readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>
  },
  trusted: TrustedProxies,
): string {
  let address = plainAddress(socket.remoteAddress ?? '') ?? ''
  if (trusted.type === 'none') return address
  const header = headers['x-forwarded-for']
  const forwarded = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',')
  for (let hop = 1; forwarded.length > 0 && isTrustedProxy(trusted, address, hop); hop++) {
    const before = plainAddress((forwarded.pop() as string).trim())
    if (before === undefined) break
    address = before
  }
  return address
}

function isTrustedProxy(trusted: TrustedProxies, address: string, hop: number): boolean {
  if (trusted.type === 'hops') return hop <= trusted.count
  return trusted.type === 'networks' && trusted.networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** An address in the one form it is counted in: without a port, and IPv4 not mapped into IPv6. */
function plainAddress(text: string): string | undefined {
  const bare = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text
  const address = (/^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare).toLowerCase()
  return isIP(address) === 0 ? undefined : address
}
